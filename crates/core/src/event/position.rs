//! The position of a reader in an event log.

use std::{collections::BTreeSet, fmt, time::Duration};

use super::{Event, EventId};
use crate::Timestamp;

/// The position of a reader in an event log, such as a program that delivers webhooks. The reader
/// gets each event at least once, across restarts, if it saves the position after it has handled an
/// event.
///
/// [`Issuer::unread_events`](crate::Issuer::unread_events) returns the events that follow the
/// position. The text of a position, from `Display`, is what a reader saves.
///
/// Events do not always appear in the order of their ids: the ids contain the time of the server
/// that made the change, and the change may take a while. So a position contains the ids of all
/// events that were read in the last [minute](Self::WINDOW) before the newest, and an event that
/// appears up to a minute late is still found. Each id takes 21 bytes of the text. An event that
/// appears later than that, because the clock of its server is behind or a transaction was open for
/// longer, is missed.
///
/// ```
/// # use keywright_core::{Caller, Event, EventPosition, Issuer, ListEvents};
/// # fn deliver(_: &Event) {}
/// # fn save(_: String) {}
/// # type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
/// # async fn follow(issuer: &Issuer, caller: &Caller, saved: &str) -> Result<()> {
/// let mut position: EventPosition = saved.parse()?;
/// let list = ListEvents::new().with_limit(100);
/// for event in issuer.unread_events(caller, &list, &position).await? {
///     deliver(&event);
///     position.mark_read(&event);
///     save(position.to_string());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EventPosition {
    /// All events up to this id were read.
    start: EventId,
    /// The events that were read after the start.
    read: BTreeSet<EventId>,
}

impl EventPosition {
    /// How late an event may appear and still be found: 60 seconds.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// Creates a position before the first event at this time.
    #[must_use]
    pub fn since(time: Timestamp) -> Self {
        Self {
            start: EventId::first_at(time),
            read: BTreeSet::new(),
        }
    }

    /// Parses the text of a position.
    ///
    /// # Errors
    ///
    /// [`EventPositionError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, EventPositionError> {
        let mut ids = text.split(' ').map(EventId::parse);
        let start = ids.next().and_then(Result::ok).ok_or(EventPositionError)?;
        let read = ids
            .collect::<Result<_, _>>()
            .map_err(|_| EventPositionError)?;
        Ok(Self { start, read })
    }

    /// Marks an event as read. Mark the events in the order in which they were returned.
    pub fn mark_read(&mut self, event: &Event) {
        self.read.insert(event.id);
        let before = event.created_at().saturating_sub(Self::WINDOW);
        let start = EventId::first_at(before).max(self.start);
        if start > self.start {
            self.start = start;
            self.read = self.read.split_off(&start);
        }
    }

    /// Whether the event was read.
    #[must_use]
    pub fn has_read(&self, event: &Event) -> bool {
        event.id <= self.start || self.read.contains(&event.id)
    }

    /// Returns the id after which events may be unread.
    pub(crate) const fn start(&self) -> EventId {
        self.start
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start.fmt(f)?;
        self.read.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

crate::text::parsed_text!(EventPosition, EventPositionError);

/// An error from parsing an [`EventPosition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position must be ids of events, separated by spaces")]
#[non_exhaustive]
pub struct EventPositionError;
