//! The challenge that asks for credentials, and the errors that carry it.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};
use keywright_core::{Environment, Permission};

use super::api_error::ApiError;

/// The challenge of the layer, in `WWW-Authenticate` (RFC 6750, section 3).
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) scheme: &'static str,
    pub(crate) realm: String,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            scheme: "Bearer",
            realm: "api".to_owned(),
        }
    }
}

impl Challenge {
    /// Returns an error whose challenge has these attributes after its realm.
    pub(super) fn error(
        &self,
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        attributes: &str,
    ) -> ApiError {
        let error = ApiError::new(status, code, message);
        let Self { scheme, realm } = self;
        // `with_realm` has checked the realm. The attributes are texts of this crate and
        // permissions. Neither contains a character that is invalid in a header.
        match HeaderValue::try_from(format!(r#"{scheme} realm="{realm}"{attributes}"#)) {
            Ok(challenge) => error.with_header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => error,
        }
    }

    /// 401: the request has no credentials of this scheme. The challenge has no `error`, because
    /// the client did not use the scheme (RFC 6750, section 3.1).
    pub(crate) fn missing_token(&self, header: &HeaderName) -> ApiError {
        let message = if header == header::AUTHORIZATION {
            Cow::Borrowed("an API key is required, as Authorization: Bearer <token>")
        } else {
            Cow::Owned(format!("an API key is required, as {header}: <token>"))
        };
        self.error(StatusCode::UNAUTHORIZED, "missing_token", message, "")
    }

    /// 400: the credentials are ambiguous or too long.
    pub(crate) fn invalid_request(&self, message: &'static str) -> ApiError {
        let attributes = r#", error="invalid_request""#;
        self.error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            message,
            attributes,
        )
    }

    /// 401: the token is rejected. The response is the same for every reason.
    pub(crate) fn invalid_token(&self) -> ApiError {
        let attributes = r#", error="invalid_token""#;
        self.error(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the API key is not valid",
            attributes,
        )
    }

    /// 403: the caller's environment is not the required one.
    pub(crate) fn wrong_environment(&self, required: Environment) -> ApiError {
        self.environment_error(format!(
            "an API key of the environment {required} is required"
        ))
    }

    /// 403: the environment of the caller does not permit the request.
    pub(super) fn environment_error(&self, message: String) -> ApiError {
        self.error(
            StatusCode::FORBIDDEN,
            "environment_not_permitted",
            message,
            r#", error="insufficient_scope""#,
        )
    }

    /// 403: the caller lacks a permission.
    pub(crate) fn insufficient_scope(&self, missing: &Permission) -> ApiError {
        let message = format!("the permission {missing} is required");
        let attributes = format!(r#", error="insufficient_scope", scope="{missing}""#);
        self.error(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            message,
            &attributes,
        )
    }
}
