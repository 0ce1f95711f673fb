//! What a token is worth, as the API tells it.

use keywright_core::{Introspection, Timestamp};
use serde::Serialize;

use crate::Item;

/// What a token is worth as the API tells it, ready to be serialised: neither secret nor hash.
#[derive(Debug, Serialize)]
pub struct Worth<'a> {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(flatten)]
    item: Option<Item<'a>>,
}

impl<'a> Worth<'a> {
    /// What was found out at the time `now`.
    #[must_use]
    pub fn new(introspection: &'a Introspection, now: Timestamp) -> Self {
        let (item, code) = match introspection {
            Introspection::Valid(key) => (Some(Item::new(key, now)), None),
            Introspection::NotFound => (None, Some("NOT_FOUND")),
            Introspection::Expired => (None, Some("EXPIRED")),
            Introspection::Revoked => (None, Some("REVOKED")),
        };
        Self {
            valid: item.is_some(),
            code,
            item,
        }
    }

    /// Why it is worth nothing: `NOT_FOUND`, `EXPIRED` or `REVOKED`; `None` if it is valid.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        self.code
    }
}
