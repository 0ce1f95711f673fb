//! Reading the body of a request.

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::json;
use crate::error::ApiError;

/// Largest body, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Reads a JSON object, and the text of it. A body that is too long is not read to its end.
pub(super) async fn object<B>(
    headers: &HeaderMap,
    body: B,
) -> Result<(Map<String, Value>, Bytes), ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (object, text) = optional_object(headers, body).await?;
    let object = object.ok_or_else(|| invalid_json("a JSON body is needed"))?;
    Ok((object, text))
}

/// The same where the body may be left out.
pub(super) async fn optional_object<B>(
    headers: &HeaderMap,
    body: B,
) -> Result<(Option<Map<String, Value>>, Bytes), ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A body that another layer has wrapped may not know its length any more; the header does.
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced = announced
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    if body.size_hint().lower().max(announced) > MAX_LENGTH as u64 {
        return Err(too_large());
    }
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok((None, bytes));
    }
    if !is_json(headers) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be sent as application/json",
        ));
    }
    let object = json::object(&bytes).map_err(invalid_json)?;
    Ok((Some(object), bytes))
}

fn invalid_json(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
}

async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MAX_LENGTH).collect().await {
        Ok(collected) => Ok(whole(collected.aggregate())),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            "the body could not be read to its end",
        )),
    }
}

/// The bytes of a body, copied only where they came in several pieces. Into a buffer that never grows and
/// is wiped: what is sent to be verified has a token in it.
fn whole(mut pieces: impl Buf) -> Bytes {
    let length = pieces.remaining();
    if pieces.chunk().len() == length {
        return pieces.copy_to_bytes(length);
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    pieces.copy_to_slice(&mut bytes);
    Bytes::from_owner(bytes)
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload_too_large",
        "the body must be at most 16 KiB",
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = types
        .next()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    types.next().is_none()
        && essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}
