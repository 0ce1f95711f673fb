//! The JSON of the answers that are not errors, but for the ones with a token.

use keywright_core::{Key, Timestamp};
use serde::Serialize;

use crate::item::Item;

/// A page of keys.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPage))]
pub(crate) struct Page<'a> {
    pub(crate) data: Vec<Item<'a>>,
    pub(crate) meta: Meta,
}

/// Which page it is; nothing is counted for one by cursor.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPageMeta))]
pub(crate) struct Meta {
    /// Which page, 1 for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, value_type = Option<u64>))]
    pub(crate) page: Option<u32>,
    /// Most keys on a page.
    pub(crate) limit: u32,
    /// How many keys there are on all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(crate) total: Option<u64>,
    /// How many pages there are.
    #[serde(rename = "totalPages", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(crate) total_pages: Option<u64>,
    /// The `cursor` of the next page; `null` on the last one.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub(crate) next_cursor: Option<String>,
}

/// That a key was revoked.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyRevoked))]
pub(crate) struct Revoked {
    message: &'static str,
    /// How many keys were revoked with `cascade=true`, this one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    revoked: Option<u64>,
}

impl Revoked {
    pub(crate) const fn new(revoked: Option<u64>) -> Self {
        let message = "API key revoked.";
        Self { message, revoked }
    }
}

/// What a token is worth.
#[derive(Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyVerdict))]
pub(crate) enum Verdict<'a> {
    Valid(Valid<'a>),
    Invalid(Invalid),
}

impl<'a> Verdict<'a> {
    pub(crate) fn valid(key: &'a Key, now: Timestamp) -> Self {
        let item = Item::new(key, now);
        Self::Valid(Valid { valid: true, item })
    }

    pub(crate) const fn invalid(code: Reason) -> Self {
        Self::Invalid(Invalid { valid: false, code })
    }
}

/// A token that opens what its key may do.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyValid))]
pub(crate) struct Valid<'a> {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::yes))]
    valid: bool,
    #[serde(flatten)]
    item: Item<'a>,
}

/// A token that opens nothing.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValid))]
pub(crate) struct Invalid {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::no))]
    valid: bool,
    code: Reason,
}

/// Why a token opens nothing; `EXPIRED` and `REVOKED` only once the secret has been proven.
#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyNotValidReason))]
pub(crate) enum Reason {
    NotFound,
    Expired,
    Revoked,
}
