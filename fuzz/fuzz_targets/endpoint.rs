//! Sends requests to the endpoints, and checks every response.

use bytes::Bytes;
use futures_executor::block_on;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use keywright_core::{
    Caller,
    error::{AllowedIpsError, PermissionError},
};
use keywright_http_tower::ApiKeys;
use serde_json::Value;
use tower_service::Service;

/// The status codes that the contract allows for an authenticated caller and a store that works.
const STATUSES: [u16; 9] = [200, 201, 400, 403, 404, 409, 413, 415, 422];

/// The length of a piece of the client's input that no error may repeat, in bytes.
const PIECE: usize = 65;

pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) json: Value,
    text: Bytes,
}

impl ApiResponse {
    pub(crate) fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// Asserts that no long piece of the client's input is in the response.
    pub(crate) fn assert_not_echoed(&self, input: &[u8]) {
        let mut texts = Vec::new();
        strings(&self.json, &mut texts);
        // The service's own messages that are as long as a piece. A client may send the same text.
        let own = [
            PermissionError::Malformed.to_string(),
            AllowedIpsError::Malformed.to_string(),
        ];
        let has = |text: &str, piece| text.as_bytes().windows(PIECE).any(|window| window == piece);
        // Overlapping by half, so that no long repetition falls between two pieces.
        for piece in input.windows(PIECE).step_by(PIECE / 2) {
            let is_own = own.iter().any(|message| has(message, piece));
            let repeated = !is_own && texts.iter().any(|text| has(text, piece));
            assert!(!repeated, "the response repeats the input: {self}");
        }
    }
}

/// Collects all strings in a value. The other parts of a response do not depend on the input.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(object) => object.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

impl std::fmt::Display for ApiResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.json)
    }
}

pub(crate) fn send(service: &ApiKeys, caller: &Caller, mut request: Request<Bytes>) -> ApiResponse {
    request.extensions_mut().insert(caller.clone());
    let response = block_on(service.clone().call(request.map(Full::new)));
    let (parts, body) = response.expect("the service is infallible").into_parts();
    let text = block_on(body.collect())
        .expect("the body is readable")
        .to_bytes();
    let json: Value = serde_json::from_slice(&text).expect("the body is JSON");
    let status = parts.status.as_u16();
    let response = ApiResponse { status, json, text };

    assert!(STATUSES.contains(&response.status), "{response}");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    assert!(parts.headers.contains_key("x-request-id"));
    assert!(response.json.is_object(), "{response}");
    if response.is_error() {
        assert_eq!(response.json["statusCode"], response.status, "{response}");
        for member in ["message", "error", "code", "requestId"] {
            assert!(response.json[member].is_string(), "{response}");
        }
        assert!(response.text.len() < 8 * 1024, "{response}");
    }
    response
}
