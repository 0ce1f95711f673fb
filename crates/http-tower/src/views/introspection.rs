//! The result of an introspection in a response.

use keywright_core::{Introspection, Timestamp};
use serde::Serialize;

use super::key::KeyView;

/// Whether a token is valid, as the API returns it: the key without its secret or hash, or the
/// reason.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct IntrospectionView<'a>(Validity<'a>);

impl<'a> IntrospectionView<'a> {
    /// Returns the view of an introspection at the time `now`.
    #[must_use]
    pub fn new(introspection: &'a Introspection, now: Timestamp) -> Self {
        let code = match introspection {
            Introspection::Valid(key) => {
                let key = KeyView::new(key, now);
                return Self(Validity::Valid(Valid { valid: true, key }));
            }
            Introspection::NotFound => Reason::NotFound,
            Introspection::Expired => Reason::Expired,
            Introspection::Revoked => Reason::Revoked,
            Introspection::Disabled => Reason::Disabled,
            Introspection::AddressNotAllowed => Reason::AddressNotAllowed,
            Introspection::InsufficientPermission => Reason::InsufficientPermission,
        };
        Self(Validity::Invalid(Invalid { valid: false, code }))
    }

    /// Returns why the token is invalid (`NOT_FOUND`, `EXPIRED`, `REVOKED`, `DISABLED`,
    /// `ADDRESS_NOT_ALLOWED` or `INSUFFICIENT_PERMISSION`), or `None` if it is valid.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match &self.0 {
            Validity::Valid(_) => None,
            Validity::Invalid(Invalid { code, .. }) => Some(match code {
                Reason::NotFound => "NOT_FOUND",
                Reason::Expired => "EXPIRED",
                Reason::Revoked => "REVOKED",
                Reason::Disabled => "DISABLED",
                Reason::AddressNotAllowed => "ADDRESS_NOT_ALLOWED",
                Reason::InsufficientPermission => "INSUFFICIENT_PERMISSION",
            }),
        }
    }
}

/// Whether a token is valid.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyVerdict))]
pub(crate) enum Validity<'a> {
    Valid(Valid<'a>),
    Invalid(Invalid),
}

/// A valid token, with its key.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyValid))]
pub(crate) struct Valid<'a> {
    /// Always `true`.
    valid: bool,
    #[serde(flatten)]
    key: KeyView<'a>,
}

/// An invalid token.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValid))]
pub(crate) struct Invalid {
    /// Always `false`.
    valid: bool,
    code: Reason,
}

/// The reason why a token is invalid. All except `NOT_FOUND` are returned only if its secret is
/// correct.
#[derive(Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValidReason))]
pub(crate) enum Reason {
    NotFound,
    Expired,
    Revoked,
    Disabled,
    AddressNotAllowed,
    InsufficientPermission,
}
