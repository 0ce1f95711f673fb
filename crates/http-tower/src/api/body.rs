//! Reading of a request body.

use std::{borrow::Cow, error::Error};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::strict_json;
use crate::{bounds::MAX_BODY_LENGTH, error::ApiError};

/// A body that the endpoints can read.
pub(super) trait RequestBody: Body<Error: Into<Box<dyn Error + Send + Sync>>> {}

impl<B: Body<Error: Into<Box<dyn Error + Send + Sync>>>> RequestBody for B {}

/// Reads a JSON object. Returns it with its text.
pub(super) async fn object(
    headers: &HeaderMap,
    body: impl RequestBody,
) -> Result<(Map<String, Value>, Bytes), ApiError> {
    let (object, text) = optional_object(headers, body).await?;
    let object = object.ok_or_else(|| invalid_json("a JSON body is required"))?;
    Ok((object, text))
}

/// Reads an optional JSON object, which may also be `null`. Returns it with its text.
pub(super) async fn optional_object(
    headers: &HeaderMap,
    body: impl RequestBody,
) -> Result<(Option<Map<String, Value>>, Bytes), ApiError> {
    let bytes = bytes(headers, body).await?;
    if bytes.is_empty() {
        return Ok((None, bytes));
    }
    if !is_json(headers) {
        return Err(ApiError::unsupported_media_type());
    }
    let object = strict_json::object(&bytes).map_err(invalid_json)?;
    Ok((object, bytes))
}

/// Reads the body of a request that should have none. Returns the fields of a JSON object, or no
/// fields if the body is empty. Some clients send `{}` here, with or without its media type.
pub(super) async fn unexpected_object(
    headers: &HeaderMap,
    body: impl RequestBody,
) -> Result<Map<String, Value>, ApiError> {
    let bytes = bytes(headers, body).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match strict_json::object(&bytes) {
        Ok(object) => Ok(object.unwrap_or_default()),
        Err(_) if !is_json(headers) => Err(ApiError::unsupported_media_type()),
        Err(message) => Err(invalid_json(message)),
    }
}

/// Reads the bytes of a body, unless its announced length is over the limit.
async fn bytes(headers: &HeaderMap, body: impl RequestBody) -> Result<Bytes, ApiError> {
    if announced_length(headers, &body) > MAX_BODY_LENGTH as u64 {
        return Err(ApiError::body_too_large());
    }
    read(body).await
}

/// Returns the length that the body or the header announces. A layer around the body can hide its
/// length, but not that in the header.
fn announced_length(headers: &HeaderMap, body: &impl Body) -> u64 {
    let header = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    body.size_hint().lower().max(header)
}

fn invalid_json(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
}

/// Reads a body of at most [`MAX_BODY_LENGTH`] bytes, and no further.
async fn read(body: impl RequestBody) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY_LENGTH).collect().await {
        Ok(collected) => Ok(contiguous(collected.aggregate())),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large()),
        Err(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            "could not read the whole body",
        )),
    }
}

/// Returns the bytes of a body, copied only if they arrived in several pieces. The copy is wiped on
/// drop, because the body of `POST /verify` contains a token. Its buffer has the full length from
/// the start, because growing would leave a part of the token in freed memory.
fn contiguous(mut pieces: impl Buf) -> Bytes {
    let length = pieces.remaining();
    if pieces.chunk().len() == length {
        return pieces.copy_to_bytes(length);
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    pieces.copy_to_slice(&mut bytes);
    Bytes::from_owner(bytes)
}

/// Whether the body is declared as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = types
        .next()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    types.next().is_none()
        && essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}
