//! Deleting the records of keys that were revoked long ago.

use std::time::Duration;

use super::{IssueError, Issuer, idempotency::KEPT_FOR};
use crate::{Purge, Timestamp, Workspace};

/// Most records that are deleted in one step: other writes wait for no more than that.
const BATCH: u32 = 500;

impl Issuer {
    /// How long the record of a key is kept at least after its revocation: 24 hours.
    pub const KEPT_AFTER_REVOCATION: Duration = KEPT_FOR;

    /// Deletes the records of keys that were revoked before a time, in one workspace or in all of
    /// them, and tells how many. This is for the host itself and asks for nobody's permission.
    ///
    /// Two kinds of them stay all the same. Keys that were revoked in the last 24 hours do: a repeat
    /// of the request that created one, with its idempotency key, would create it anew. And so do
    /// keys that a key which stays descends from, by creation or by rotation: a revocation with
    /// [`Reach::Descendants`](crate::Reach::Descendants) finds its way through them.
    ///
    /// It works in steps. Where it ends early, what it has deleted is deleted.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`].
    pub async fn purge(
        &self,
        workspace: Option<Workspace>,
        revoked_before: Timestamp,
    ) -> Result<u64, IssueError> {
        let kept = self.now().saturating_sub(Self::KEPT_AFTER_REVOCATION);
        let mut purge = Purge::new(revoked_before.min(kept), BATCH);
        purge.workspace = workspace;
        let mut total = 0;
        loop {
            match self.0.store().purge(&purge).await? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }
}
