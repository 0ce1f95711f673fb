//! Successful responses.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::error::ApiError;

/// The response of a handler.
pub(super) type ApiResult = Result<Response<Full<Bytes>>, ApiError>;

/// Builds a response with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> ApiResult {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::internal())?;
    Ok(with_json(status, body.into()))
}

/// Builds a response with a body that is JSON already.
pub(super) fn with_json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
