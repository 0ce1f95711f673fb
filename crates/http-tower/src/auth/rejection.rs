//! The reason why the layer rejects a request.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Full;
use keywright_core::{Denied, Environment, Permission, Undecided, VerifyError};

use crate::error::{ApiError, Challenge, ResponseFormat};

/// The reason why [`AuthLayer`](crate::AuthLayer) rejects a request.
///
/// A host receives it in [`AuthLayer::on_reject`](crate::AuthLayer::on_reject). A handler that
/// checks more than the layer can create one, to respond in the same way:
///
/// ```
/// use http::HeaderMap;
/// use keywright_core::Permission;
/// use keywright_http_tower::Rejection;
///
/// let rejection = Rejection::MissingPermission(Permission::parse("calls:write")?);
/// let response = rejection.to_response(&HeaderMap::new());
/// assert_eq!(response.status(), 403);
/// # Ok::<(), keywright_core::error::PermissionError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request has no API key: 401 with the code `missing_token`.
    #[error("an API key is required")]
    Missing,
    /// The request has more than one API key: 400 with the code `invalid_request`.
    #[error("more than one API key was sent")]
    Ambiguous,
    /// The header with the API key is longer than 512 bytes: 400 with the code `invalid_request`.
    #[error("the header with the API key is too long")]
    TooLong,
    /// The API key is malformed, unknown, revoked, expired or disabled: 401 with the code
    /// `invalid_token`. The client must not learn which.
    #[error("the API key is not valid")]
    Denied,
    /// The API key is valid, but may not be used from the client's address, or that address is
    /// unknown: 403 with the code `address_not_allowed`.
    #[error("the API key may not be used from this address")]
    AddressNotAllowed,
    /// The caller lacks this permission: 403 with the code `insufficient_scope`.
    #[error("the permission {0} is required")]
    MissingPermission(Permission),
    /// The caller is not in this environment: 403 with the code `environment_not_permitted`.
    #[error("an API key of the environment {0} is required")]
    WrongEnvironment(Environment),
    /// The verifier could not decide whether the API key is valid: 503 with the code `unavailable`,
    /// or 500 with the code `corrupt` if the record of the key cannot be read.
    #[error("API keys cannot be verified at the moment")]
    Undecided(#[source] Undecided),
}

impl Rejection {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.to_api_error().status()
    }

    /// Returns the stable code of the response.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.to_api_error().code()
    }

    /// Builds the response of a layer that reads `Authorization` and names the realm `api`.
    /// `request` contains the headers of the request.
    #[must_use]
    pub fn to_response(&self, request: &HeaderMap) -> Response<Full<Bytes>> {
        self.to_api_error()
            .into_response(&ResponseFormat::of(request))
    }

    fn to_api_error(&self) -> ApiError {
        Challenge::default().rejection(self, [&header::AUTHORIZATION])
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Denied(Denied::AddressNotAllowed(_)) => Self::AddressNotAllowed,
            VerifyError::Denied(_) => Self::Denied,
            VerifyError::Undecided(undecided) => Self::Undecided(undecided),
        }
    }
}
