//! What a token is worth, as the API tells it.

use keywright_core::{Introspection, Timestamp};
use serde::Serialize;

use crate::Item;

/// What a token is worth as the API tells it, ready to be serialised: neither secret nor hash.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Worth<'a>(pub(crate) Verdict<'a>);

impl<'a> Worth<'a> {
    /// What was found out at the time `now`.
    #[must_use]
    pub fn new(introspection: &'a Introspection, now: Timestamp) -> Self {
        let code = match introspection {
            Introspection::Valid(key) => {
                let item = Item::new(key, now);
                return Self(Verdict::Valid(Valid { valid: true, item }));
            }
            Introspection::NotFound => Reason::NotFound,
            Introspection::Expired => Reason::Expired,
            Introspection::Revoked => Reason::Revoked,
        };
        Self(Verdict::Invalid(Invalid { valid: false, code }))
    }

    /// Why it is worth nothing: `NOT_FOUND`, `EXPIRED` or `REVOKED`; `None` if it is valid.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match &self.0 {
            Verdict::Valid(_) => None,
            Verdict::Invalid(Invalid { code, .. }) => Some(match code {
                Reason::NotFound => "NOT_FOUND",
                Reason::Expired => "EXPIRED",
                Reason::Revoked => "REVOKED",
            }),
        }
    }
}

/// What a token is worth.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyVerdict))]
pub(crate) enum Verdict<'a> {
    Valid(Valid<'a>),
    Invalid(Invalid),
}

/// A token that opens what its key may do.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyValid))]
pub(crate) struct Valid<'a> {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::yes))]
    valid: bool,
    #[serde(flatten)]
    item: Item<'a>,
}

/// A token that opens nothing.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValid))]
pub(crate) struct Invalid {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::no))]
    valid: bool,
    code: Reason,
}

/// Why a token opens nothing; `EXPIRED` and `REVOKED` only once the secret has been proven.
#[derive(Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValidReason))]
pub(crate) enum Reason {
    NotFound,
    Expired,
    Revoked,
}
