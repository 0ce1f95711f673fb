//! How credentials are asked for, and what a client is told of those that do not do.

use std::{borrow::Cow, error::Error, fmt::Write as _};

use http::{HeaderValue, StatusCode, header};
use keywright_core::{IssueError, Permission, StoreErrorKind, Undecided, VerifyError};

use super::ApiError;

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
            IssueError::NotFound => ApiError::not_found(),
            IssueError::Cursor => ApiError::field("cursor", error.to_string()),
            IssueError::NotRotatable => {
                ApiError::new(StatusCode::CONFLICT, "not_rotatable", error.to_string())
            }
            IssueError::IdempotencyMismatch => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                ApiError::new(status, "idempotency_mismatch", error.to_string())
            }
            IssueError::Store(conflict) if conflict.kind() == StoreErrorKind::Conflict => {
                ApiError::new(
                    StatusCode::CONFLICT,
                    "conflict",
                    "the key is being changed by others",
                )
            }
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
