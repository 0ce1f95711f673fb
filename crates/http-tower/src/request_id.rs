//! The id that a response shares with the log lines about its request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};
use keywright_core::RequestId;

/// The header that carries the id of a request, in requests and responses: `X-Request-Id`.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the id of a request: the value of its `X-Request-Id` if that is 1 to 40 characters of
/// `A-Za-z0-9._-`, or a new id. Any other value could be unsafe in a log, and is ignored.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(HEADER)
        .filter(|id| parse(id).is_some())
        .cloned()
        .unwrap_or_else(generate)
}

/// Writes the id of a request into its headers, so that everything that handles the request uses
/// the same id: the event of a change, the response, and the host's own handler.
pub(crate) fn assign(headers: &mut HeaderMap) {
    let id = request_id(headers);
    headers.insert(HEADER, id);
}

/// Returns the id of a request to which [`assign`] has given one.
pub(crate) fn assigned(headers: &HeaderMap) -> Option<RequestId> {
    headers.get(HEADER).and_then(parse)
}

fn parse(id: &HeaderValue) -> Option<RequestId> {
    RequestId::parse(id.to_str().ok()?).ok()
}

/// Returns an id that is unique in this process and, because the hash has a random key, very likely
/// unique among all processes. It is not a secret, so it may be predictable.
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
    fn a_safe_id_of_the_client_is_kept_and_any_other_is_replaced() {
        let mut headers = HeaderMap::new();
        let generated = request_id(&headers);
        assert!(generated.to_str().unwrap().starts_with("req_"));
        assert_ne!(generated, request_id(&headers));
        headers.insert(HEADER, HeaderValue::from_static("a-B_3.4"));
        assert_eq!(request_id(&headers), "a-B_3.4");
        for unsafe_id in ["", "a b", "a\"b", &"x".repeat(41)] {
            headers.insert(HEADER, HeaderValue::try_from(unsafe_id).unwrap());
            assert_ne!(request_id(&headers), unsafe_id);
        }
    }
}
