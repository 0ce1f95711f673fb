//! The id of an event.

use std::fmt;

use crate::{KeyId, Timestamp, random::Generator};

/// The id of an event: `evt_` and 16 base62 characters.
///
/// It is made like the id of a key. The first 8 characters are the time of the change, so ids sort
/// by time. The next 3 are the routing tag of the changed key, so that a store that distributes
/// keys over machines keeps the event on the machine of its key.
///
/// The times come from the clocks of the servers that make the changes, and an id is made shortly
/// before its change. So an event can appear after another event with a greater id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(KeyId);

impl EventId {
    /// The length in bytes, without `evt_`.
    pub const LENGTH: usize = KeyId::LENGTH;

    const PREFIX: &'static str = "evt_";

    /// Generates an id for a change of a key.
    pub(crate) fn generate(key: &KeyId, now: Timestamp, random: &mut Generator) -> Self {
        Self(key.successor(now, random))
    }

    /// Returns the first id of this millisecond: no event at this time or later has a smaller one.
    #[must_use]
    pub fn first_at(time: Timestamp) -> Self {
        Self(KeyId::first_at(time))
    }

    /// Parses `evt_` followed by 16 base62 characters.
    ///
    /// # Errors
    ///
    /// [`EventIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, EventIdError> {
        let bare = text.strip_prefix(Self::PREFIX).ok_or(EventIdError)?;
        Self::from_bytes(bare.as_bytes())
    }

    /// Parses the 16 characters without `evt_`, as a store contains them.
    ///
    /// # Errors
    ///
    /// [`EventIdError`] if `bytes` are not 16 base62 characters.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventIdError> {
        KeyId::from_bytes(bytes).map(Self).map_err(|_| EventIdError)
    }

    /// Returns the 16 ASCII characters without `evt_`.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    /// Returns the routing tag of the changed key. See [`KeyId::routing_tag`].
    #[must_use]
    pub fn routing_tag(&self) -> &[u8] {
        self.0.routing_tag()
    }

    /// Returns the time of the change.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.0.created_at()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        self.0.fmt_bare(f)
    }
}

crate::text::parsed_text!(EventId, EventIdError);

/// An error from parsing an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id must be evt_ followed by 16 ASCII letters and digits")]
#[non_exhaustive]
pub struct EventIdError;
