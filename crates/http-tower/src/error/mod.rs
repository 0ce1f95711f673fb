//! The one form of every error answer.

mod challenge;
mod form;
pub(crate) mod grpc;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use keywright_core::{StoreError, StoreErrorKind};
use serde::Serialize;

pub(crate) use self::{challenge::Challenge, form::AnswerForm};

/// Most fields that an answer tells about.
const MAX_FIELDS: usize = 32;

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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyFieldError))]
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
    pub(crate) fn validation(mut fields: Vec<FieldError>) -> Self {
        fields.truncate(MAX_FIELDS);
        let message = match fields.first() {
            Some(first) => Cow::Owned(first.message.clone()),
            None => Cow::Borrowed("the request does not validate"),
        };
        let mut error = Self::new(StatusCode::BAD_REQUEST, "validation_failed", message);
        error.0.fields = fields;
        error
    }

    pub(crate) fn field(field: &'static str, message: String) -> Self {
        Self::validation(vec![FieldError {
            field: field.into(),
            message,
        }])
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// 500: a defect of this program.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong",
        )
    }

    /// 404, the same for what does not exist and for what the caller may not know of.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    /// 503: nothing is known, and the client should ask again.
    fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// 500 for what the store has and cannot read back, 503 for everything else that it reports: what
    /// was done and not confirmed is told apart, since asking again waits again.
    pub(crate) fn store(error: &StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Corrupt => {
                let message = "a stored key cannot be read back";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", message)
            }
            StoreErrorKind::NotConfirmed => {
                let message = "done, but too few replicas have confirmed it";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_confirmed", message)
            }
            _ => Self::unavailable("the key store cannot be reached"),
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
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        headers.extend(header);
        form.mark(headers);
        response
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

/// An error in the form of the wire contract.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyError))]
pub(crate) struct Envelope<'a> {
    #[serde(rename = "statusCode")]
    pub(crate) status_code: u16,
    /// For people.
    pub(crate) message: &'a str,
    pub(crate) error: &'a str,
    /// For machines, and stable.
    pub(crate) code: &'a str,
    #[serde(rename = "requestId")]
    pub(crate) request_id: &'a str,
    /// What is wrong with each field, where the request does not validate.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) errors: &'a [FieldError],
}

/// An error in the form of RFC 9457.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyProblem))]
pub(crate) struct Problem<'a> {
    pub(crate) r#type: &'a str,
    pub(crate) title: &'a str,
    pub(crate) status: u16,
    /// For people.
    pub(crate) detail: &'a str,
    /// For machines, and stable.
    pub(crate) code: &'a str,
    #[serde(rename = "requestId")]
    pub(crate) request_id: &'a str,
    /// What is wrong with each field, where the request does not validate.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) errors: &'a [FieldError],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_confirmed_is_told_apart_from_what_was_not_done() {
        for (kind, status, code) in [
            (StoreErrorKind::NotConfirmed, 503, "not_confirmed"),
            (StoreErrorKind::Unavailable, 503, "unavailable"),
            (StoreErrorKind::Corrupt, 500, "corrupt"),
        ] {
            let ApiError(answer) = ApiError::store(&StoreError::new(kind, "redis"));
            assert_eq!((answer.status.as_u16(), answer.code), (status, code));
        }
    }
}
