//! Requests to the endpoints, and what must hold of every answer.

use bytes::Bytes;
use futures_executor::block_on;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use keywright_core::{Caller, PermissionError};
use keywright_http_tower::ApiKeys;
use serde_json::Value;
use tower_service::Service;

/// What the contract names for requests of an authenticated caller over a store that works.
const STATUSES: [u16; 9] = [200, 201, 400, 403, 404, 409, 413, 415, 422];

/// Longer than any piece of a client's text that an answer may repeat, in bytes.
const LONG: usize = 65;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
    text: Bytes,
}

impl Answer {
    pub(crate) fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// Fails if a long piece of what the client has sent is in what it says.
    pub(crate) fn repeats_nothing_of(&self, sent: &[u8]) {
        let mut said = Vec::new();
        strings(&self.json, &mut said);
        // The one sentence of the service that is as long: a client may send it.
        let own = PermissionError::Malformed.to_string();
        let has = |text: &str, piece| text.as_bytes().windows(LONG).any(|window| window == piece);
        // Half as far from one to the next as they are long.
        for piece in sent.windows(LONG).step_by(LONG / 2) {
            let repeated = !has(&own, piece) && said.iter().any(|text| has(text, piece));
            assert!(!repeated, "repeats what was sent: {self}");
        }
    }
}

/// All texts in a value. What is around them is the same in every answer.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(object) => object.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.json)
    }
}

pub(crate) fn ask(service: &ApiKeys, caller: &Caller, mut request: Request<Bytes>) -> Answer {
    request.extensions_mut().insert(caller.clone());
    let answer = block_on(service.clone().call(request.map(Full::new)));
    let (parts, body) = answer.expect("an answer").into_parts();
    let text = block_on(body.collect()).expect("a body").to_bytes();
    let json: Value = serde_json::from_slice(&text).expect("a body of JSON");
    let status = parts.status.as_u16();
    let answer = Answer { status, json, text };

    assert!(STATUSES.contains(&answer.status), "{answer}");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    assert!(parts.headers.contains_key("x-request-id"));
    assert!(answer.json.is_object(), "{answer}");
    if answer.is_error() {
        assert_eq!(answer.json["statusCode"], answer.status, "{answer}");
        for member in ["message", "error", "code", "requestId"] {
            assert!(answer.json[member].is_string(), "{answer}");
        }
        assert!(answer.text.len() < 8 * 1024, "{answer}");
    }
    answer
}
