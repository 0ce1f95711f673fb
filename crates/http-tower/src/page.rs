//! A page of keys as the API shows it.

use keywright_core::{Listed, Position, Timestamp};
use serde::Serialize;

use crate::Item;

/// A page of keys as the API shows it, ready to be serialised.
#[derive(Debug, Serialize)]
pub struct PageOfItems<'a> {
    data: Vec<Item<'a>>,
    meta: Meta<'a>,
}

/// Page and totals are told of a page that was asked for by its number.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<u64>,
    #[serde(rename = "next_cursor")]
    next_cursor: Option<&'a str>,
}

impl<'a> PageOfItems<'a> {
    /// How a page looks at the time `now`, of a list that was asked for with this position and
    /// this limit, at least 1.
    #[must_use]
    pub fn new(listed: &'a Listed, position: &Position, limit: u32, now: Timestamp) -> Self {
        let (page, total) = match position {
            Position::Page(page) => (Some(*page), listed.total),
            _ => (None, None),
        };
        Self {
            data: listed.keys.iter().map(|key| Item::new(key, now)).collect(),
            meta: Meta {
                page,
                limit,
                total,
                total_pages: total.map(|total| total.div_ceil(u64::from(limit.max(1)))),
                next_cursor: listed.next_cursor.as_deref(),
            },
        }
    }
}
