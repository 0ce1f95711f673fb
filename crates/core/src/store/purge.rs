//! What a purge may delete.

use crate::{Key, Timestamp, Workspace};

/// Which records a purge may delete, and how many in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Purge {
    /// The workspace of the keys; `None` is all of them.
    pub workspace: Option<Workspace>,
    /// Only keys that were revoked before this time.
    pub revoked_before: Timestamp,
    /// Most records that one call deletes, at least 1.
    pub limit: u32,
}

impl Purge {
    /// A purge of all workspaces.
    #[must_use]
    pub const fn new(revoked_before: Timestamp, limit: u32) -> Self {
        Self {
            workspace: None,
            revoked_before,
            limit,
        }
    }

    /// The same in one workspace only.
    #[must_use]
    pub fn with_workspace(mut self, workspace: Workspace) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// Whether the key is one of those, whatever descends from it.
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
