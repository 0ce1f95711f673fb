//! The error responses, one for each status.

use http::StatusCode;
use keywright_core::{IssueError, Permission, error::NameError};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Content, ContentBuilder, Ref, Response, ResponseBuilder},
};

use super::headers::{self, Presence};
use crate::error::{ApiError, Challenge, Envelope, Problem};

/// An error response. The components contain it, and operations refer to it by its name.
#[derive(Clone, Copy)]
pub(super) struct ErrorResponse {
    /// The name of the component.
    pub(super) name: &'static str,
    description: &'static str,
    example: fn() -> ApiError,
}

macro_rules! error_responses {
    ($($id:ident: $name:literal, $example:expr, $description:literal;)+) => {
        impl ErrorResponse {
            $(pub(super) const $id: Self = Self {
                name: $name,
                description: $description,
                example: || $example,
            };)+

            pub(super) const ALL: &[Self] = &[$(Self::$id),+];
        }
    };
}

error_responses! {
    INVALID: "ApiKeyInvalid",
        ApiError::field("name", NameError::Empty.to_string()),
        "The body, the query or a header is not valid. Unknown and duplicate fields and parameters \
         are not valid.";
    UNAUTHORIZED: "ApiKeyUnauthorized",
        Challenge::default().invalid_token(),
        "The request has no API key, or one that is malformed, unknown, expired, revoked or disabled.";
    FORBIDDEN: "ApiKeyForbidden",
        Challenge::default().insufficient_scope(&Permission::API_KEYS_WRITE),
        "The caller lacks a permission, its environment or its addresses do not cover the request, or \
         its key may not be used from the address of the client.";
    NOT_FOUND: "ApiKeyNotFound",
        ApiError::not_found(),
        "The caller sees no such key. To a request that changes a key, a revoked key is not found \
         either.";
    NO_EVENT_LOG: "ApiKeyNoEventLog",
        Challenge::default().issue_error(&IssueError::NoEventLog),
        "The server keeps no events.";
    CONFLICT: "ApiKeyConflict",
        ApiError::conflict(),
        "The key has expired, is disabled or has a successor, or another request is changing it.";
    VERSION_MISMATCH: "ApiKeyVersionMismatch",
        Challenge::default().issue_error(&IssueError::VersionMismatch),
        "The key has another version than `If-Match` requires.";
    TOO_LARGE: "ApiKeyBodyTooLarge",
        ApiError::body_too_large(),
        "The body is over 16 KiB.";
    MEDIA_TYPE: "ApiKeyMediaType",
        ApiError::unsupported_media_type(),
        "The body is not `application/json`.";
    MISMATCH: "ApiKeyIdempotencyMismatch",
        Challenge::default().issue_error(&IssueError::IdempotencyMismatch),
        "The `Idempotency-Key` was used for another request.";
    RATE_LIMITED: "ApiKeyRateLimited",
        ApiError::rate_limited(),
        "The caller has made too many requests.";
    INTERNAL: "ApiKeyInternal",
        ApiError::internal(),
        "The server has a bug, or a stored key cannot be read.";
    UNAVAILABLE: "ApiKeyUnavailable",
        ApiError::store_unavailable(),
        "The server could not decide or could not confirm the outcome. Retry later.";
}

impl ErrorResponse {
    pub(super) fn status(self) -> StatusCode {
        (self.example)().status()
    }

    /// Builds the component.
    pub(super) fn response(self) -> Response {
        let example = (self.example)();
        let (envelope, problem) = (example.envelope(REQUEST_ID), example.problem(REQUEST_ID));
        let response = headers::on_every_response(ResponseBuilder::new())
            .description(self.description)
            .content("application/json", content::<Envelope<'_>>(&envelope))
            .content("application/problem+json", content::<Problem<'_>>(&problem));
        let response = match example.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                response.header("WWW-Authenticate", headers::challenge(Presence::Always))
            }
            StatusCode::BAD_REQUEST => {
                response.header("WWW-Authenticate", headers::challenge(Presence::Sometimes))
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.header("Retry-After", headers::retry_after())
            }
            StatusCode::TOO_MANY_REQUESTS => headers::rate_limit()
                .into_iter()
                .fold(response, |response, (name, header)| {
                    response.header(name, header)
                })
                .header("Retry-After", headers::retry_after()),
            _ => response,
        };
        response.build()
    }
}

const REQUEST_ID: &str = "req_3f1c8a5be02d9746";

fn content<T: ToSchema>(example: &impl Serialize) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(serde_json::to_value(example).ok())
        .build()
}
