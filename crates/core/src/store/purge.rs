//! The selection of records that a purge deletes.

use crate::{Key, Timestamp, Workspace};

/// Which records to delete, and how many in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Purge {
    /// The workspace of the keys. `None` selects all workspaces.
    pub workspace: Option<Workspace>,
    /// Only keys that were revoked before this time, exclusive.
    pub revoked_before: Timestamp,
    /// The maximum number of records to delete in one call, at least 1.
    pub limit: u32,
}

impl Purge {
    /// Creates a selection of records of all workspaces.
    #[must_use]
    pub const fn new(revoked_before: Timestamp, limit: u32) -> Self {
        Self {
            workspace: None,
            revoked_before,
            limit,
        }
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
        key.revoked_at
            .is_some_and(|time| time < self.revoked_before)
            && self
                .workspace
                .as_ref()
                .is_none_or(|workspace| key.workspace == *workspace)
    }
}
