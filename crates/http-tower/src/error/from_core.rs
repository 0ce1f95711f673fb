//! Conversion of the errors of `keywright_core` into error responses.

use std::{error::Error, fmt::Write as _};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use keywright_core::{
    IssueError, Undecided,
    store::{StoreError, StoreErrorKind},
};

use super::{api_error::ApiError, challenge::Challenge, format::ResponseFormat};
use crate::auth::Rejection;

impl Challenge {
    /// Converts an error of the issuer. An error that the host must fix includes its cause, for the
    /// log.
    pub(crate) fn issue_error(&self, error: &IssueError) -> ApiError {
        match error {
            IssueError::NotPermitted(missing) => self.insufficient_scope(missing),
            IssueError::Environment => {
                self.forbidden("environment_not_permitted", error.to_string())
            }
            IssueError::AddressesBeyondCaller => {
                self.forbidden("addresses_not_covered", error.to_string())
            }
            IssueError::CallerAddress => self.rejection(&Rejection::AddressNotAllowed, []),
            IssueError::ExpiryPast
            | IssueError::ExpiryBeyondCaller
            | IssueError::ExpiryBeyondPolicy { .. } => {
                ApiError::field("expires_at", error.to_string())
            }
            IssueError::CallerInactive | IssueError::CallerForeign => self.invalid_token(),
            IssueError::NotFound => ApiError::not_found(),
            IssueError::NoEventLog => {
                ApiError::new(StatusCode::NOT_FOUND, "no_event_log", error.to_string())
            }
            IssueError::Cursor => ApiError::field("cursor", error.to_string()),
            IssueError::NotRotatable => conflict("not_rotatable", error),
            IssueError::Expired => conflict("expired", error),
            IssueError::ExpiryAfterRotation => conflict("expiry_after_rotation", error),
            IssueError::StillCreated => conflict("still_created", error),
            IssueError::VersionMismatch => {
                let status = StatusCode::PRECONDITION_FAILED;
                ApiError::new(status, "version_mismatch", error.to_string())
            }
            IssueError::IdempotencyMismatch => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                ApiError::new(status, "idempotency_mismatch", error.to_string())
            }
            IssueError::Store(conflict) if conflict.kind() == StoreErrorKind::Conflict => {
                ApiError::conflict()
            }
            other => {
                let error = match other {
                    IssueError::Store(error) => store_error(error),
                    _ => ApiError::unavailable("the request cannot be completed at the moment"),
                };
                error.with_cause(causes(other))
            }
        }
    }
}

/// Builds the response to an error of the [`Issuer`](keywright_core::Issuer), for a route of the
/// host that manages keys: the response of [`ApiKeys`](crate::ApiKeys), with a challenge of the
/// realm `api`.
///
/// `request` contains the headers of the request. An error that the host must fix is logged, and
/// the response does not contain its cause.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, Response};
/// use http_body_util::Full;
/// use keywright_core::{Caller, Issuer, KeyId};
/// use keywright_http_tower::issue_error_response;
///
/// /// Returns the name of a key.
/// async fn name(
///     issuer: &Issuer,
///     caller: &Caller,
///     id: &KeyId,
///     request: &HeaderMap,
/// ) -> Response<Full<Bytes>> {
///     match issuer.find(caller, id).await {
///         Ok(found) => Response::new(Full::from(found.key.name.to_string())),
///         Err(error) => issue_error_response(&error, request),
///     }
/// }
/// ```
#[must_use]
pub fn issue_error_response(error: &IssueError, request: &HeaderMap) -> Response<Full<Bytes>> {
    let error = Challenge::default().issue_error(error);
    if let Some(cause) = error.cause() {
        tracing::error!(error = cause, "API key operation failed");
    }
    error.into_response(&ResponseFormat::of(request))
}

/// Converts the reason why a verification is undecided.
pub(super) fn undecided(reason: &Undecided) -> ApiError {
    match reason {
        Undecided::Store(error) => store_error(error),
        _ => ApiError::unavailable("API keys cannot be verified at the moment"),
    }
}

/// 409: the state of the key does not permit the change.
fn conflict(code: &'static str, error: &IssueError) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, error.to_string())
}

/// Converts an error of the store: 500 for a record that cannot be read, 503 for everything else.
///
/// A change that was made but not confirmed has a separate code, because a client that retries it
/// waits for the same replicas again.
fn store_error(error: &StoreError) -> ApiError {
    match error.kind() {
        StoreErrorKind::Corrupt => {
            let message = "a stored key cannot be read";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", message)
        }
        StoreErrorKind::NotConfirmed => {
            let message = "the change was made, but too few replicas confirmed it";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_confirmed", message)
        }
        StoreErrorKind::Moved => {
            let message = "the keys have moved to another store";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "moved", message)
        }
        _ => ApiError::store_unavailable(),
    }
}

/// An error and its sources, for the log. None of them contains a byte of a secret.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a `String` does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconfirmed_change_has_a_different_code_than_one_that_was_not_made() {
        for (kind, status, code) in [
            (StoreErrorKind::NotConfirmed, 503, "not_confirmed"),
            (StoreErrorKind::Unavailable, 503, "unavailable"),
            (StoreErrorKind::Moved, 503, "moved"),
            (StoreErrorKind::Corrupt, 500, "corrupt"),
        ] {
            let error = store_error(&StoreError::new(kind, "redis"));
            let envelope = serde_json::to_value(error.envelope("")).unwrap();
            assert_eq!(envelope["statusCode"], status);
            assert_eq!(envelope["code"], code);
        }
    }
}
