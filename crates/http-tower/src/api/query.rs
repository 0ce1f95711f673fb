//! The values in the query strings of the endpoints.

use keywright_core::{ListEvents, ListKeys, Owner};

pub(super) use crate::query::{UNKNOWN, for_each, none};

/// Parses the `limit` of a page, of keys or of events.
pub(super) fn limit(text: &str) -> Result<u32, &'static str> {
    const MAX: u32 = ListKeys::MAX_LIMIT;
    const { assert!(MAX == 100 && ListEvents::MAX_LIMIT == MAX) };
    number(text, MAX).ok_or("limit must be a whole number from 1 to 100")
}

/// Parses the `owner` of keys.
pub(super) fn owner(text: &str) -> Result<Owner, &'static str> {
    Owner::parse(text).map_err(|_| "owner must be 1 to 128 visible ASCII characters")
}

/// Parses a boolean, as JSON, Python or C writes it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "1" => Some(true),
        "false" | "False" | "0" => Some(false),
        _ => None,
    }
}

/// Parses a whole number from 1 to `max`, in plain digits.
pub(super) fn number(text: &str, max: u32) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| is_digits && (1..=max).contains(number))
}
