//! A page of keys as the API shows it.

use keywright_core::{ListStart, Page, Timestamp};
use serde::Serialize;

use crate::Item;

/// A page of keys as the API shows it, ready to be serialised.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPage))]
pub struct PageOfItems<'a> {
    pub(crate) data: Vec<Item<'a>>,
    pub(crate) meta: Meta<'a>,
}

/// Which page it is; nothing is counted for one by cursor.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPageMeta))]
pub(crate) struct Meta<'a> {
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
    pub(crate) next_cursor: Option<&'a str>,
}

impl<'a> PageOfItems<'a> {
    /// How a page looks at the time `now`, of a list that was asked for with this start and
    /// this limit, at least 1.
    #[must_use]
    pub fn new(listed: &'a Page, start: &ListStart, limit: u32, now: Timestamp) -> Self {
        let page = start.page_number(limit);
        let total = page.and(listed.total);
        Self {
            data: listed.keys.iter().map(|key| Item::new(key, now)).collect(),
            meta: Meta {
                page,
                limit,
                total,
                total_pages: total.map(|total| total.div_ceil(u64::from(limit.max(1)))),
                next_cursor: listed.next.as_deref(),
            },
        }
    }
}
