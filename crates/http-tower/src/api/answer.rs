//! The answers that are not errors.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use keywright_core::{
    Introspection, IssueOutcome, Issued, Key, ListStart, Page, Reach, Revocation, Timestamp,
};
use serde::Serialize;

use super::issued_json::{Created, IssuedJson};
use crate::{error::ApiError, item::Item, page::PageOfItems, worth::Worth};

pub(super) type Answer = Result<Response<Full<Bytes>>, ApiError>;

/// 201 with the whole token, or 200 without it where the request was a repeat. `base` is where the
/// service is mounted.
pub(super) fn issued(outcome: &IssueOutcome, base: &str) -> Answer {
    match outcome {
        IssueOutcome::Issued(issued) => created(issued, base),
        IssueOutcome::Replayed(key) => {
            let mut answer = json(StatusCode::OK, &Created::new(key, None))?;
            let name = HeaderName::from_static("idempotency-replayed");
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static("true"));
            Ok(located(answer, key, base))
        }
    }
}

/// 201 with the whole token, which is seen nowhere else.
fn created(issued: &Issued, base: &str) -> Answer {
    let body = IssuedJson::new(issued).map_err(|_| ApiError::internal())?;
    let answer = with_body(StatusCode::CREATED, body.into_bytes());
    Ok(located(answer, &issued.key, base))
}

fn located(mut answer: Response<Full<Bytes>>, key: &Key, base: &str) -> Response<Full<Bytes>> {
    if let Ok(location) = HeaderValue::try_from(format!("{base}/{}", key.id)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// 200 with a key as it is.
pub(super) fn item(key: &Key, now: Timestamp) -> Answer {
    json(StatusCode::OK, &Item::new(key, now))
}

/// 200 with a page of keys.
pub(super) fn page(listed: &Page, start: &ListStart, limit: u32, now: Timestamp) -> Answer {
    let page = PageOfItems::new(listed, start, limit, now);
    json(StatusCode::OK, &page)
}

/// 200 with what was revoked.
pub(super) fn revoked(revocation: Revocation, reach: Reach) -> Answer {
    let count = matches!(reach, Reach::Descendants).then_some(revocation.count);
    json(StatusCode::OK, &Revoked::new(count))
}

/// 200 with what a token is worth.
pub(super) fn introspected(introspection: &Introspection, now: Timestamp) -> Answer {
    json(StatusCode::OK, &Worth::new(introspection, now))
}

/// That a key was revoked.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyRevoked))]
pub(crate) struct Revoked {
    message: &'static str,
    /// How many keys were revoked with `cascade=true`, this one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    revoked: Option<u64>,
}

impl Revoked {
    pub(crate) const fn new(revoked: Option<u64>) -> Self {
        let message = "API key revoked.";
        Self { message, revoked }
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::internal())?;
    Ok(with_body(status, body.into()))
}

fn with_body(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
