//! The one form of every error answer.

use std::{borrow::Cow, error::Error, fmt::Write as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use keywright_core::{IssueError, Permission, StoreError, StoreErrorKind, Undecided, VerifyError};
use serde::Serialize;

use crate::request_id::{self, request_id};

/// How long a client should wait before it asks again after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An answer that is not a success: a status, a stable code for machines and a sentence for people.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Answer>);

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field of the body or the query.
#[derive(Debug, Serialize)]
pub(crate) struct FieldError {
    pub(crate) field: Cow<'static, str>,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self(Box::new(Answer {
            status,
            code,
            message,
            fields: Vec::new(),
            header: None,
        }))
    }

    /// 400 for fields that do not validate; the first one's message is the message of all.
    pub(crate) fn validation(fields: Vec<FieldError>) -> Self {
        let message = match fields.first() {
            Some(first) => Cow::Owned(first.message.clone()),
            None => Cow::Borrowed("the request does not validate"),
        };
        let mut error = Self::new(StatusCode::BAD_REQUEST, "validation_failed", message);
        error.0.fields = fields;
        error
    }

    fn field(field: &'static str, message: String) -> Self {
        Self::validation(vec![FieldError {
            field: field.into(),
            message,
        }])
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// 404, the same for what does not exist and for what the caller may not know of.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    /// 503: nothing is known, and the client should ask again.
    fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// 500 for what the store has and cannot read back, 503 for everything else that it reports.
    pub(crate) fn store(error: &StoreError) -> Self {
        if error.kind() == StoreErrorKind::Corrupt {
            let message = "a stored key cannot be read back";
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", message)
        } else {
            Self::unavailable("the key store cannot be reached")
        }
    }

    /// The answer, as JSON of the wire contract or, where the client accepts it, of RFC 9457.
    pub(crate) fn into_response(self, form: &AnswerForm) -> Response<Full<Bytes>> {
        let Answer {
            status,
            code,
            message,
            fields,
            header,
        } = *self.0;
        let title = status.canonical_reason().unwrap_or("Error");
        let request_id = form.request_id.to_str().unwrap_or_default();
        let body = if form.problem {
            serde_json::to_vec(&Problem {
                r#type: "about:blank",
                title,
                status: status.as_u16(),
                detail: &message,
                code,
                request_id,
                errors: &fields,
            })
        } else {
            serde_json::to_vec(&Envelope {
                status_code: status.as_u16(),
                message: &message,
                error: title,
                code,
                request_id,
                errors: &fields,
            })
        };
        // Strings and numbers alone: this serialises.
        let mut response = Response::new(Full::from(body.unwrap_or_default()));
        *response.status_mut() = status;
        let media_type = if form.problem {
            "application/problem+json"
        } else {
            "application/json"
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.extend(header);
        form.mark(headers);
        response
    }
}

/// What the headers of a request say about the form of its answer.
pub(crate) struct AnswerForm {
    request_id: HeaderValue,
    problem: bool,
}

impl AnswerForm {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self {
            request_id: request_id(request),
            problem: accepts_problem_json(request),
        }
    }

    /// Adds what every answer has.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(request_id::HEADER, self.request_id.clone());
    }
}

/// An error answer in the form of this API, for what a host answers beside it: its own 404, say.
/// `code` is for machines and stable, `message` is for people; `request` are the headers of the
/// request.
#[must_use]
pub fn error_response(
    status: StatusCode,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
    request: &HeaderMap,
) -> Response<Full<Bytes>> {
    ApiError::new(status, code, message).into_response(&AnswerForm::of(request))
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "statusCode")]
    status_code: u16,
    message: &'a str,
    error: &'a str,
    code: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

fn accepts_problem_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| {
            range
                .trim()
                .eq_ignore_ascii_case("application/problem+json")
        })
}

/// An error and all that caused it, for the log. None of them holds a byte of a secret.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// How the layer asks for credentials, in `WWW-Authenticate` (RFC 6750, section 3).
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    /// `Bearer realm="…"`, or another scheme.
    pub(crate) start: String,
}

impl Challenge {
    fn demand(
        &self,
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        attributes: &str,
    ) -> ApiError {
        let error = ApiError::new(status, code, message);
        // The realm was checked when it was set, and attributes are this module's own text and
        // permissions, which have no character that a header could not carry.
        match HeaderValue::try_from(format!("{}{attributes}", self.start)) {
            Ok(challenge) => error.with_header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => error,
        }
    }

    /// 401: there is no token.
    pub(crate) fn missing_token(&self) -> ApiError {
        self.demand(
            StatusCode::UNAUTHORIZED,
            "missing_token",
            "an API key is needed",
            "",
        )
    }

    /// 400: it cannot be told which token is meant.
    pub(crate) fn invalid_request(&self, message: &'static str) -> ApiError {
        let attributes = r#", error="invalid_request""#;
        self.demand(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            message,
            attributes,
        )
    }

    /// 401: the token opens nothing. One answer for all reasons.
    pub(crate) fn invalid_token(&self) -> ApiError {
        let attributes = r#", error="invalid_token""#;
        self.demand(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the API key is not valid",
            attributes,
        )
    }

    /// 403: the caller lacks a permission.
    pub(crate) fn insufficient_scope(&self, missing: &Permission) -> ApiError {
        let message = format!("the permission {missing} is needed");
        let attributes = format!(r#", error="insufficient_scope", scope="{missing}""#);
        self.demand(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            message,
            &attributes,
        )
    }

    /// What a client is told of a verification that failed; the log is told why.
    pub(crate) fn verification(&self, error: &VerifyError) -> ApiError {
        match error {
            VerifyError::Denied(denied) => {
                let key = denied.id().map(tracing::field::display);
                tracing::info!(key, reason = %denied, "API key denied");
                self.invalid_token()
            }
            VerifyError::Undecided(undecided) => {
                tracing::error!(error = causes(undecided), "API key could not be verified");
                match undecided {
                    Undecided::Store(error) => ApiError::store(error),
                    _ => ApiError::unavailable("API keys cannot be verified at the moment"),
                }
            }
        }
    }

    /// What a client is told of a key that was not issued.
    pub(crate) fn issue(&self, error: &IssueError) -> ApiError {
        match error {
            IssueError::NotPermitted(missing) => self.insufficient_scope(missing),
            IssueError::Environment => {
                let attributes = r#", error="insufficient_scope""#;
                let code = "environment_not_permitted";
                self.demand(StatusCode::FORBIDDEN, code, error.to_string(), attributes)
            }
            IssueError::ExpiryPast | IssueError::ExpiryBeyondCaller => {
                ApiError::field("expires_at", error.to_string())
            }
            IssueError::CallerInactive => self.invalid_token(),
            other => {
                tracing::error!(error = causes(other), "API key could not be issued");
                match other {
                    IssueError::Store(error) => ApiError::store(error),
                    _ => ApiError::unavailable("API keys cannot be issued at the moment"),
                }
            }
        }
    }
}
