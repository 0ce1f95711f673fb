//! Checks the host of a request (RFC 9112, section 3.2; RFC 9113, section 8.3.1).

use http::{Version, header::HOST, request::Parts, uri::Authority};

/// Checks that a request has exactly one `Host` header, which is valid or empty. Before HTTP/1.1,
/// the header may be missing. In HTTP/2, `:authority` replaces it. If a request of HTTP/2 has both,
/// they must be equal.
///
/// If two proxies read different hosts from one request, an attacker can direct it to the wrong
/// cache entry or the wrong tenant.
///
/// # Errors
///
/// The message of the 400 response.
pub(crate) fn check(request: &Parts) -> Result<(), &'static str> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let authority = match request.version {
        // In HTTP/1.1, the header is required even if the target has an authority.
        Version::HTTP_2 => request.uri.authority(),
        _ => None,
    };
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version < Version::HTTP_11 => Ok(()),
        (None, _) => match authority {
            Some(authority) if is_host(authority.as_str().as_bytes()) => Ok(()),
            Some(_) => Err("the authority must be a host with an optional port"),
            None => Err("the header Host is required"),
        },
        (Some(_), Some(_)) => Err("the header Host must be sent once"),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            Err("the header Host must be a host with an optional port")
        }
        (Some(host), None) => match authority {
            Some(authority)
                if !authority
                    .as_str()
                    .as_bytes()
                    .eq_ignore_ascii_case(host.as_bytes()) =>
            {
                Err("the header Host and the authority must be equal")
            }
            _ => Ok(()),
        },
    }
}

fn is_host(value: &[u8]) -> bool {
    // An authority may contain user information, a host may not.
    value.is_empty() || !value.contains(&b'@') && Authority::try_from(value).is_ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_accepted(version: Version, target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn a_request_with_a_missing_repeated_or_invalid_host_is_rejected() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for (version, hosts, expected) in [
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
            assert_eq!(
                is_accepted(version, "/", hosts),
                expected,
                "{version:?} {hosts:?}"
            );
        }
        assert!(!is_accepted(new, "http://a/", &[]));
    }

    #[test]
    fn a_request_of_http_2_has_an_authority_and_the_same_host_if_any() {
        for (target, hosts, expected) in [
            ("http://a/", &[][..], true),
            ("http://a:80/", &["A:80"], true),
            ("/", &["a"], true),
            ("/", &[], false),
            ("http://a/", &["b"], false),
            ("http://a/", &["a", "a"], false),
            ("http://user@a/", &[], false),
        ] {
            assert_eq!(
                is_accepted(Version::HTTP_2, target, hosts),
                expected,
                "{target} {hosts:?}"
            );
        }
    }
}
