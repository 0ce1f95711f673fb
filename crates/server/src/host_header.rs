//! The check of the `Host` header (RFC 9112, section 3.2).

use http::{HeaderMap, Version, header::HOST, uri::Authority};

/// Checks that a request has exactly one `Host`, which is a host or empty. Before HTTP/1.1, it may
/// have none. Proxies that disagree about the host of a request can be led to the wrong cache entry
/// or the wrong tenant.
///
/// # Errors
///
/// The message of a 400.
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
    // An authority may have user information. A host may not.
    value.is_empty() || !value.contains(&b'@') && Authority::try_from(value).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_without_a_host_with_two_or_with_another_text_is_refused() {
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
