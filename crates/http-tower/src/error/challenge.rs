//! The challenge that asks for credentials, and the errors that carry it.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};
use keywright_core::Permission;

use super::{api_error::ApiError, from_core::undecided};
use crate::auth::Rejection;

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
    fn error(
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

    /// Converts the rejection of a layer that reads the token from these headers.
    pub(crate) fn rejection<'a>(
        &self,
        rejection: &Rejection,
        headers: impl IntoIterator<Item = &'a HeaderName>,
    ) -> ApiError {
        match rejection {
            Rejection::Missing => self.missing_token(headers),
            // The credentials are ambiguous or too long.
            Rejection::Ambiguous | Rejection::TooLong => self.error(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                rejection.to_string(),
                r#", error="invalid_request""#,
            ),
            Rejection::Denied => self.invalid_token(),
            Rejection::AddressNotAllowed => {
                self.forbidden("address_not_allowed", rejection.to_string())
            }
            Rejection::MissingPermission(permission) => self.insufficient_scope(permission),
            Rejection::WrongEnvironment(_) => {
                self.forbidden("environment_not_permitted", rejection.to_string())
            }
            Rejection::Undecided(cause) => undecided(cause),
        }
    }

    /// 401: the request has no credentials of this scheme. The challenge has no `error`, because
    /// the client did not use the scheme (RFC 6750, section 3.1).
    fn missing_token<'a>(&self, headers: impl IntoIterator<Item = &'a HeaderName>) -> ApiError {
        let forms = headers.into_iter().map(|header| {
            if header == header::AUTHORIZATION {
                "Authorization: Bearer <token>".to_owned()
            } else {
                format!("{header}: <token>")
            }
        });
        let forms: Vec<String> = forms.collect();
        let message = format!("an API key is required, as {}", forms.join(" or "));
        self.error(StatusCode::UNAUTHORIZED, "missing_token", message, "")
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

    /// 403: the environment or the addresses of the caller do not permit the request.
    pub(super) fn forbidden(&self, code: &'static str, message: String) -> ApiError {
        let attributes = r#", error="insufficient_scope""#;
        self.error(StatusCode::FORBIDDEN, code, message, attributes)
    }

    /// 403: the caller lacks a permission.
    pub(crate) fn insufficient_scope(&self, missing: &Permission) -> ApiError {
        let message = Rejection::MissingPermission(missing.clone()).to_string();
        let attributes = format!(r#", error="insufficient_scope", scope="{missing}""#);
        self.error(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            message,
            &attributes,
        )
    }
}
