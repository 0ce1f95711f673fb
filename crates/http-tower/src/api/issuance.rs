//! The common parts of create and rotate: idempotency key, and response with the token.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use keywright_core::{IdempotencyKey, IssueOutcome};

use super::{
    context::Context,
    etag,
    response::{ApiResult, json, with_json},
};
use crate::{
    error::ApiError,
    views::{IssuedJson, IssuedView},
};

/// The version of a key that was just created.
const NEW_VERSION: u64 = 1;

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

/// Builds the response: 201 with the whole token, or 200 without it for a repeated request. Only
/// the first names the version of the key, which may have changed before the second.
pub(super) fn respond(outcome: &IssueOutcome, context: &Context) -> ApiResult {
    let (mut response, key) = match outcome {
        IssueOutcome::Issued(issued) => {
            let body = IssuedJson::new(issued).map_err(|_| ApiError::internal())?;
            let response = with_json(StatusCode::CREATED, body.into_bytes());
            (etag::with_etag(response, NEW_VERSION), &issued.key)
        }
        IssueOutcome::Replayed(key) => {
            let mut response = json(
                StatusCode::OK,
                &IssuedView::replayed(key, context.issuer.now()),
            )?;
            let name = HeaderName::from_static("idempotency-replayed");
            let replayed = HeaderValue::from_static("true");
            response.headers_mut().insert(name, replayed);
            (response, key)
        }
    };
    if let Ok(location) = HeaderValue::try_from(context.mount.path_of(&key.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
