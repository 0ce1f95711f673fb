//! Checks the `Host` header (RFC 9112, section 3.2).

use http::{HeaderMap, Version, header::HOST, uri::Authority};

/// Checks that a request has exactly one `Host` header, which is valid or empty. Before HTTP/1.1,
/// the header may be missing.
///
/// If two proxies read different hosts from one request, an attacker can direct it to the wrong
/// cache entry or the wrong tenant.
///
/// # Errors
///
/// The message of the 400 response.
pub(crate) fn check(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => Err("the header Host is required"),
        (Some(_), Some(_)) => Err("the header Host must be sent once"),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err("the header Host must be a host with an optional port"),
    }
}

fn is_host(value: &[u8]) -> bool {
    // An authority may contain user information, a host may not.
    value.is_empty() || !value.contains(&b'@') && Authority::try_from(value).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_with_a_missing_repeated_or_invalid_host_is_rejected() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for (version, hosts, is_accepted) in [
            (new, &["example.com"][..], true),
            (new, &["example.com:8080"], true),
            (new, &["127.0.0.1:1"], true),
            (new, &["[::1]:8080"], true),
            (new, &[""], true),
            (new, &[], false),
            (new, &["a", "a"], false),
            (new, &["a", "b"], false),
            (new, &["a b"], false),
            (new, &["a/b"], false),
            (new, &["user@a"], false),
            (old, &[], true),
            (old, &["a"], true),
            (old, &["a", "b"], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            let checked = check(version, &headers);
            assert_eq!(
                checked.is_ok(),
                is_accepted,
                "{version:?} {hosts:?} {checked:?}"
            );
        }
    }
}
