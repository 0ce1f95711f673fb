//! The common parts of create and rotate: idempotency key, log line, and response with the token.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use keywright_core::{IdempotencyKey, IssueOutcome};

use super::{
    mount::Mount,
    response::{ApiResult, json, with_json},
};
use crate::{
    error::ApiError,
    views::{IssuedJson, IssuedView},
};

/// Reads the header `Idempotency-Key`, which is optional.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .and_then(|text| IdempotencyKey::parse(text).ok());
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_idempotency_key",
            "Idempotency-Key must be given once, as 1 to 255 visible ASCII characters",
        )),
    }
}

/// Logs `message` with the issued key. A repeated request issues none.
pub(super) fn log(outcome: &IssueOutcome, message: &'static str) {
    if let IssueOutcome::Issued(issued) = outcome {
        let key = &issued.key;
        tracing::info!(key = %key.id, workspace = %key.workspace, "{message}");
    }
}

/// Builds the response: 201 with the whole token, or 200 without it for a repeated request.
pub(super) fn respond(outcome: &IssueOutcome, mount: &Mount) -> ApiResult {
    let (mut response, key) = match outcome {
        IssueOutcome::Issued(issued) => {
            let body = IssuedJson::new(issued).map_err(|_| ApiError::internal())?;
            let response = with_json(StatusCode::CREATED, body.into_bytes());
            (response, &issued.key)
        }
        IssueOutcome::Replayed(key) => {
            let mut response = json(StatusCode::OK, &IssuedView::new(key, None))?;
            let name = HeaderName::from_static("idempotency-replayed");
            let replayed = HeaderValue::from_static("true");
            response.headers_mut().insert(name, replayed);
            (response, key)
        }
    };
    if let Ok(location) = HeaderValue::try_from(mount.path_of(&key.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
