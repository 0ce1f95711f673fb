//! The request for a page of events, and the page.

use super::{Event, EventId};
use crate::{Environment, KeyId, Owner, Workspace};

/// A request for a page of events: a filter, an order, a start and a limit.
///
/// Hosts pass cursors as text and leave `C` at its default. A [store](crate::store::KeyStore) takes
/// a `ListEvents<EventId>`, whose cursor is the last event of the previous page.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ListEvents<C = String> {
    /// Only events of this key.
    pub key: Option<KeyId>,
    /// Only events of keys of this owner.
    pub owner: Option<Owner>,
    /// The order of the events.
    pub order: EventOrder,
    /// After the page that returned this cursor. `None` starts with the first event in the order.
    pub after: Option<C>,
    /// The maximum number of events on the page. [`Issuer::events`](crate::Issuer::events) clamps
    /// it to 1 to [`MAX_LIMIT`](ListEvents::MAX_LIMIT). A store accepts any limit of at least 1.
    pub limit: u32,
}

impl ListEvents {
    /// The default limit: 20.
    pub const DEFAULT_LIMIT: u32 = 20;

    /// The largest limit that [`Issuer::events`](crate::Issuer::events) accepts: 100.
    pub const MAX_LIMIT: u32 = 100;
}

impl<C> ListEvents<C> {
    /// Creates a request for the newest 20 events, without a filter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: None,
            owner: None,
            order: EventOrder::NewestFirst,
            after: None,
            limit: ListEvents::DEFAULT_LIMIT,
        }
    }

    /// Lists only events of this key.
    #[must_use]
    pub fn with_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// Lists only events of keys of this owner.
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets the order.
    #[must_use]
    pub fn with_order(mut self, order: EventOrder) -> Self {
        self.order = order;
        self
    }

    /// Starts after the page that returned this cursor.
    #[must_use]
    pub fn with_after(mut self, cursor: C) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Lists at most this many events.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Whether a list in this workspace, for a caller of this environment, contains an event.
    #[must_use]
    pub fn selects(&self, workspace: &Workspace, environment: Environment, event: &Event) -> bool {
        event.workspace == *workspace
            && environment.covers(event.environment)
            && self.key.is_none_or(|key| key == event.key)
            && (self.owner.is_none() || self.owner == event.owner)
    }
}

impl<C> Default for ListEvents<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// The order of a list of events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "a log has two directions")]
pub enum EventOrder {
    /// From the newest event to the oldest.
    #[default]
    NewestFirst,
    /// From the oldest event to the newest.
    OldestFirst,
}

/// One page of a list of events.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EventPage<C = String> {
    /// The events, in the order of the list.
    pub events: Vec<Event>,
    /// The cursor of the next page, for [`ListEvents::with_after`] with the same filter and order.
    /// `None` on the last page. A page with a cursor may have fewer events than the limit, even
    /// none.
    pub next: Option<C>,
}

impl<C> EventPage<C> {
    /// Creates a page.
    #[must_use]
    pub const fn new(events: Vec<Event>, next: Option<C>) -> Self {
        Self { events, next }
    }
}

impl EventPage<EventId> {
    /// Creates a page from up to `limit + 1` events. A store reads one event more than the page
    /// holds to find out whether a next page exists.
    #[must_use]
    pub fn cut(mut events: Vec<Event>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|event| event.id);
        Self { events, next }
    }
}
