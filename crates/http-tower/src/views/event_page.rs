//! A page of events in a response.

use keywright_core::{Event, EventPage};
use serde::Serialize;

#[cfg(feature = "openapi")]
use crate::schema;

/// A page of events as the API returns it. The events are those of
/// [`Event`](keywright_core::Event), unchanged.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyEventPage))]
pub struct EventPageView<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::EventSchema>))]
    data: &'a [Event],
    meta: EventPageMeta<'a>,
}

/// The position of a page in the list of events.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyEventPageMeta))]
pub(crate) struct EventPageMeta<'a> {
    /// The maximum number of events on a page.
    limit: u32,
    /// The `cursor` of the next page, or `null` on the last page. A page with a cursor may have
    /// fewer events than the limit, even none.
    #[serde(rename = "nextCursor")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    next_cursor: Option<&'a str>,
}

impl<'a> EventPageView<'a> {
    /// Returns the view of a page. `limit` is that of the request.
    #[must_use]
    pub fn new(page: &'a EventPage, limit: u32) -> Self {
        let next_cursor = page.next.as_deref();
        Self {
            data: &page.events,
            meta: EventPageMeta { limit, next_cursor },
        }
    }
}
