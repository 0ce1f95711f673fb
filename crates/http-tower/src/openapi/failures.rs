//! The answers that are errors: one for each status.

use http::StatusCode;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ContentBuilder, Ref, Response, ResponseBuilder},
};

use super::headers::{self, Presence};
use crate::error::{Envelope, FieldError, Problem};

/// An answer that is an error, as components hold it and operations refer to it.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// What the component is called.
    pub(super) name: &'static str,
    description: &'static str,
    code: &'static str,
    message: &'static str,
}

macro_rules! failures {
    ($($id:ident: $status:ident, $name:literal, $code:literal, $message:literal, $description:literal;)+) => {
        impl Failure {
            $(pub(super) const $id: Self = Self {
                status: StatusCode::$status,
                name: $name,
                description: $description,
                code: $code,
                message: $message,
            };)+

            pub(super) const ALL: &[Self] = &[$(Self::$id),+];
        }
    };
}

failures! {
    INVALID: BAD_REQUEST, "ApiKeyInvalid", "validation_failed", "name should not be empty",
        "The body, the query or a header does not validate. Members and parameters that are not \
         known do not, nor do those that are given twice.";
    UNAUTHORIZED: UNAUTHORIZED, "ApiKeyUnauthorized", "invalid_token", "the API key is not valid",
        "There is no API key, or it opens nothing: it is malformed, unknown, expired or revoked.";
    FORBIDDEN: FORBIDDEN, "ApiKeyForbidden", "insufficient_scope",
        "the permission api_keys:write is needed",
        "The caller lacks a permission, or the environment.";
    NOT_FOUND: NOT_FOUND, "ApiKeyNotFound", "not_found", "there is nothing here",
        "The caller sees no such key; where the key was to be changed, it may be revoked.";
    CONFLICT: CONFLICT, "ApiKeyConflict", "conflict", "the key is being changed by others",
        "The key is in another state: it has expired or has a successor, or others are changing it.";
    TOO_LARGE: PAYLOAD_TOO_LARGE, "ApiKeyBodyTooLarge", "payload_too_large",
        "the body must be at most 16 KiB", "The body is over 16 KiB.";
    MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE, "ApiKeyMediaType", "unsupported_media_type",
        "the body must be sent as application/json", "The body is not `application/json`.";
    MISMATCH: UNPROCESSABLE_ENTITY, "ApiKeyIdempotencyMismatch", "idempotency_mismatch",
        "the idempotency key was used for another request",
        "The `Idempotency-Key` was used for another request.";
    RATE_LIMITED: TOO_MANY_REQUESTS, "ApiKeyRateLimited", "rate_limited", "too many requests",
        "The caller has made too many requests.";
    INTERNAL: INTERNAL_SERVER_ERROR, "ApiKeyInternal", "internal", "something went wrong",
        "A defect of the server, or of what is stored.";
    UNAVAILABLE: SERVICE_UNAVAILABLE, "ApiKeyUnavailable", "unavailable",
        "the key store cannot be reached", "Nothing is known at the moment; ask again.";
}

impl Failure {
    /// The answer, as a component.
    pub(super) fn response(self) -> Response {
        let answer = headers::on_every_answer(ResponseBuilder::new())
            .description(self.description)
            .content("application/json", content::<Envelope<'_>>(self.envelope()))
            .content(
                "application/problem+json",
                content::<Problem<'_>>(self.problem()),
            );
        let answer = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                answer.header("WWW-Authenticate", headers::challenge(Presence::Always))
            }
            StatusCode::BAD_REQUEST => {
                answer.header("WWW-Authenticate", headers::challenge(Presence::Sometimes))
            }
            StatusCode::SERVICE_UNAVAILABLE => answer.header("Retry-After", headers::retry_after()),
            StatusCode::TOO_MANY_REQUESTS => headers::rate_limit()
                .into_iter()
                .fold(answer, |answer, (name, header)| answer.header(name, header))
                .header("Retry-After", headers::retry_after()),
            _ => answer,
        };
        answer.build()
    }

    fn envelope(self) -> Option<Value> {
        let envelope = Envelope {
            status_code: self.status.as_u16(),
            message: self.message,
            error: self.status.canonical_reason().unwrap_or_default(),
            code: self.code,
            request_id: REQUEST_ID,
            errors: &self.fields(),
        };
        serde_json::to_value(envelope).ok()
    }

    fn problem(self) -> Option<Value> {
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.message,
            code: self.code,
            request_id: REQUEST_ID,
            errors: &self.fields(),
        };
        serde_json::to_value(problem).ok()
    }

    fn fields(self) -> Vec<FieldError> {
        let name = FieldError {
            field: "name".into(),
            message: self.message.into(),
        };
        Vec::from_iter((self.status == StatusCode::BAD_REQUEST).then_some(name))
    }
}

const REQUEST_ID: &str = "req_3f1c8a5be02d9746";

fn content<T: ToSchema>(example: Option<Value>) -> utoipa::openapi::Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(example)
        .build()
}
