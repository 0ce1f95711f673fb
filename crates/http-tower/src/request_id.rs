//! The id that an answer and the log lines about it have in common.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id of a request, in requests and answers: `X-Request-Id`.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Shorter than the secret of a token, which somebody will put there.
const MAX_LENGTH: usize = 40;

/// The id of a request: what its `X-Request-Id` says, if that is 1 to 40 of `A-Za-z0-9._-`, or else a
/// new one. A client's id that would not be safe in a log is never taken over.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(HEADER)
        .filter(|id| is_sane(id.as_bytes()))
        .cloned()
        .unwrap_or_else(generate)
}

fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// Unique in this process and, by the random key of the hash, most likely among all. It need not
/// be unpredictable.
fn generate() -> HeaderValue {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(format!("req_{id:016x}")).unwrap_or(HeaderValue::from_static("req"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_taken_over_and_no_other() {
        let mut headers = HeaderMap::new();
        let one = request_id(&headers);
        assert!(one.to_str().unwrap().starts_with("req_"));
        assert_ne!(one, request_id(&headers));
        headers.insert(HEADER, HeaderValue::from_static("a-B_3.4"));
        assert_eq!(request_id(&headers), "a-B_3.4");
        for bad in ["", "a b", "a\"b", &"x".repeat(41)] {
            headers.insert(HEADER, HeaderValue::try_from(bad).unwrap());
            assert_ne!(request_id(&headers), bad);
        }
    }
}
