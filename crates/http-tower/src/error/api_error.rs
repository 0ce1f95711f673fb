//! The error that every endpoint and the layer return.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{
    body::{Envelope, FieldError, Problem},
    format::ResponseFormat,
};
use crate::bounds::MAX_FIELD_ERRORS;

/// The `Retry-After` of every 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An error response: a status, a stable code for programs and a message for people.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Details>);

#[derive(Debug)]
struct Details {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    header: Option<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self(Box::new(Details {
            status,
            code,
            message,
            fields: Vec::new(),
            header: None,
            cause: None,
        }))
    }

    /// 400: fields are not valid. The message of the response is the message of the first field.
    pub(crate) fn validation(mut fields: Vec<FieldError>) -> Self {
        fields.truncate(MAX_FIELD_ERRORS);
        let message = match fields.first() {
            Some(first) => Cow::Owned(first.message.clone()),
            None => Cow::Borrowed("the request is not valid"),
        };
        let mut error = Self::new(StatusCode::BAD_REQUEST, "validation_failed", message);
        error.0.fields = fields;
        error
    }

    /// 400: one field is not valid.
    pub(crate) fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// 404: the resource does not exist, or the caller must not learn that it does.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    /// 404: the request is about the calling key, but the caller is not a key.
    pub(crate) fn not_a_key() -> Self {
        let message = "the caller is not an API key, so there is no key to find here";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409: the key was changed while this request was changing it.
    pub(crate) fn conflict() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "another request is changing the key; try again",
        )
    }

    /// 413: the body is over [`MAX_BODY_LENGTH`](crate::bounds::MAX_BODY_LENGTH).
    pub(crate) fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "the body must be at most 16 KiB",
        )
    }

    /// 415: the body is not JSON.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be sent as application/json",
        )
    }

    /// 429: the caller has made too many requests.
    #[cfg(any(feature = "rate-limit", feature = "openapi"))]
    pub(crate) fn rate_limited() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many requests; try again later",
        )
    }

    /// 500: a bug in this crate.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal server error",
        )
    }

    /// 503: the outcome is undecided, and the client should retry.
    pub(super) fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// 503: the store cannot be reached.
    pub(crate) fn store_unavailable() -> Self {
        Self::unavailable("the key store cannot be reached")
    }

    /// Sets the one header that the response has in addition to those of every error response.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Sets the cause of a failure on the host's side, for the log. The response does not contain
    /// it.
    pub(super) fn with_cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Returns the cause of a failure on the host's side, if there is one.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.0.code
    }

    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    pub(super) fn into_header(self) -> Option<(HeaderName, HeaderValue)> {
        self.0.header
    }

    /// The body of the response, in the format of this API.
    pub(crate) fn envelope<'a>(&'a self, request_id: &'a str) -> Envelope<'a> {
        Envelope {
            status_code: self.0.status.as_u16(),
            message: &self.0.message,
            error: self.title(),
            code: self.0.code,
            request_id,
            errors: &self.0.fields,
        }
    }

    /// The body of the response, in the format of RFC 9457.
    pub(crate) fn problem<'a>(&'a self, request_id: &'a str) -> Problem<'a> {
        Problem {
            r#type: "about:blank",
            title: self.title(),
            status: self.0.status.as_u16(),
            detail: &self.0.message,
            code: self.0.code,
            request_id,
            errors: &self.0.fields,
        }
    }

    fn title(&self) -> &'static str {
        self.0.status.canonical_reason().unwrap_or("Error")
    }

    /// Builds the JSON response, in the format that the client accepts.
    pub(crate) fn into_response(self, format: &ResponseFormat) -> Response<Full<Bytes>> {
        let request_id = format.request_id.to_str().unwrap_or_default();
        let (media_type, body) = if format.problem {
            let body = serde_json::to_vec(&self.problem(request_id));
            ("application/problem+json", body)
        } else {
            let body = serde_json::to_vec(&self.envelope(request_id));
            ("application/json", body)
        };
        // Serialising strings and numbers does not fail.
        let mut response = Response::new(Full::from(body.unwrap_or_default()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if self.0.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        headers.extend(self.into_header());
        format.write_headers(headers);
        response
    }
}

/// Builds an error response in the format of this API, for the host's own routes: its 404, for
/// example.
///
/// `code` is a stable code for programs, `message` is for people, and `request` are the headers of
/// the request.
#[must_use]
pub fn error_response(
    status: StatusCode,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
    request: &HeaderMap,
) -> Response<Full<Bytes>> {
    ApiError::new(status, code, message).into_response(&ResponseFormat::of(request))
}
