//! The selection of records and of events that a purge deletes.

use crate::{Event, Key, Timestamp, Workspace};

/// Which records to delete, and how many in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Purge {
    /// The workspace of the keys. `None` selects all workspaces.
    pub workspace: Option<Workspace>,
    /// Keys that were revoked before this time, exclusive. `None` selects no key by its revocation.
    pub revoked_before: Option<Timestamp>,
    /// Keys that expired before this time, exclusive, revoked or not. `None` selects no key by its
    /// expiry.
    pub expired_before: Option<Timestamp>,
    /// The maximum number of records to delete in one call, at least 1.
    pub limit: u32,
}

impl Purge {
    /// Creates a selection of no record, in all workspaces.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            workspace: None,
            revoked_before: None,
            expired_before: None,
            limit,
        }
    }

    /// Selects records of keys that were revoked before this time.
    #[must_use]
    pub const fn with_revoked_before(mut self, time: Timestamp) -> Self {
        self.revoked_before = Some(time);
        self
    }

    /// Selects records of keys that expired before this time.
    #[must_use]
    pub const fn with_expired_before(mut self, time: Timestamp) -> Self {
        self.expired_before = Some(time);
        self
    }

    /// Selects only records of this workspace.
    #[must_use]
    pub fn with_workspace(mut self, workspace: Workspace) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// Whether the key is selected, regardless of its descendants.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        let before = |time: Option<Timestamp>, bound: Option<Timestamp>| {
            time.zip(bound).is_some_and(|(time, bound)| time < bound)
        };
        let in_workspace = |workspace: &Workspace| key.workspace == *workspace;
        (before(key.revoked_at, self.revoked_before) || before(key.expires_at, self.expired_before))
            && self.workspace.as_ref().is_none_or(in_workspace)
    }
}

/// Which events to delete, and how many in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PurgeEvents {
    /// The workspace of the events. `None` selects all workspaces.
    pub workspace: Option<Workspace>,
    /// Events before this time, exclusive.
    pub before: Timestamp,
    /// The maximum number of events to delete in one call, at least 1.
    pub limit: u32,
}

impl PurgeEvents {
    /// The limit that the library uses: 500. Other writes wait while a call runs.
    pub const STEP: u32 = 500;

    /// Selects the events before this time, in all workspaces.
    #[must_use]
    pub const fn new(before: Timestamp, limit: u32) -> Self {
        Self {
            workspace: None,
            before,
            limit,
        }
    }

    /// Selects only events of this workspace.
    #[must_use]
    pub fn with_workspace(mut self, workspace: Workspace) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// Whether the event is selected.
    #[must_use]
    pub fn covers(&self, event: &Event) -> bool {
        let in_workspace = |workspace: &Workspace| event.workspace == *workspace;
        event.created_at() < self.before && self.workspace.as_ref().is_none_or(in_workspace)
    }
}
