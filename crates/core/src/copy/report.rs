//! The progress and the result of a copy.

use std::fmt;

use super::digest::ContentDigest;
use crate::Workspace;

/// An observer of a copy.
pub trait CopyObserver: Send + Sync {
    /// Reports the progress after each page of records or events.
    fn progressed(&self, progress: &CopyProgress);

    /// Reports the comparison of a workspace. Workspaces are compared in the order of their names.
    fn compared(&self, workspace: &WorkspaceReport);
}

impl fmt::Debug for dyn CopyObserver + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopyObserver")
    }
}

/// The progress of a run. The numbers count each pass over the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CopyProgress {
    /// Keys that were read from the source.
    pub keys: u64,
    /// Events that were read from the source.
    pub events: u64,
    /// Reservations of idempotency keys that were copied.
    pub reservations: u64,
    /// Keys and events that were written into the target or deleted there.
    pub written: u64,
    /// Keys and events of both stores that were read for the comparison.
    pub compared: u64,
}

/// The result of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CopyReport {
    /// The number of workspaces.
    pub workspaces: u64,
    /// The number of keys in the source.
    pub keys: u64,
    /// The number of events in the source.
    pub events: u64,
    /// The number of reservations of idempotency keys in the source that have not ended.
    pub reservations: u64,
    /// The number of these reservations that the target lacks, or has with another content.
    pub missing_reservations: u64,
    /// The number of keys and events that this run wrote into the target or deleted there.
    pub written: u64,
    /// The number of workspaces whose content differs between source and target.
    pub differing: u64,
    /// The first workspaces whose content differs, up to [`MAX_DIFFERING`](Self::MAX_DIFFERING).
    pub first_differing: Vec<Workspace>,
}

impl CopyReport {
    /// The maximum number of differing workspaces that a report names.
    pub const MAX_DIFFERING: usize = 100;

    pub(super) fn add(&mut self, compared: WorkspaceReport) {
        self.workspaces += 1;
        self.keys += compared.source.keys;
        self.events += compared.source.events;
        if !compared.is_equal() {
            self.differing += 1;
            if self.first_differing.len() < Self::MAX_DIFFERING {
                self.first_differing.push(compared.workspace);
            }
        }
    }
}

/// The content of a workspace in the source and in the target.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WorkspaceReport {
    /// The workspace.
    pub workspace: Workspace,
    /// The content in the source.
    pub source: WorkspaceContent,
    /// The content in the target.
    pub target: WorkspaceContent,
}

impl WorkspaceReport {
    /// Whether both stores have the same content.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target
    }
}

/// The content of a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WorkspaceContent {
    /// The number of keys.
    pub keys: u64,
    /// The number of events.
    pub events: u64,
    /// The digest of the keys and the events.
    pub digest: ContentDigest,
}
