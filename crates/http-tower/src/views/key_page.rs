//! A page of keys in a response.

use keywright_core::{ListStart, Page, Timestamp};
use serde::Serialize;

use super::key::KeyView;

/// A page of keys as the API returns it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPage))]
pub struct KeyPageView<'a> {
    pub(crate) data: Vec<KeyView<'a>>,
    pub(crate) meta: PageMeta<'a>,
}

/// The position of a page in the list. A page that was requested by `cursor` has no number and no
/// totals.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyPageMeta))]
pub(crate) struct PageMeta<'a> {
    /// The number of the page. The first page is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, value_type = Option<u64>))]
    pub(crate) page: Option<u32>,
    /// The maximum number of keys on a page.
    pub(crate) limit: u32,
    /// The number of keys on all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(crate) total: Option<u64>,
    /// The number of pages.
    #[serde(rename = "totalPages", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(crate) total_pages: Option<u64>,
    /// The `cursor` of the next page, or `null` on the last page.
    #[serde(rename = "nextCursor")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub(crate) next_cursor: Option<&'a str>,
}

impl<'a> KeyPageView<'a> {
    /// Returns the view of a page at the time `now`. `start` and `limit` are those of the
    /// request. A `limit` of 0 counts as 1.
    #[must_use]
    pub fn new(listed: &'a Page, start: &ListStart, limit: u32, now: Timestamp) -> Self {
        let page = start.page_number(limit);
        let total = page.and(listed.total);
        let keys = listed.keys.iter();
        Self {
            data: keys.map(|key| KeyView::new(key, now)).collect(),
            meta: PageMeta {
                page,
                limit,
                total,
                total_pages: total.map(|total| total.div_ceil(u64::from(limit.max(1)))),
                next_cursor: listed.next.as_deref(),
            },
        }
    }
}
