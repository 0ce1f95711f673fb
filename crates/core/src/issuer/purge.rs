//! Deletes the records of keys that were revoked long ago.

use std::time::Duration;

use super::{IssueError, Issuer, idempotency::REPLAY_WINDOW};
use crate::{Timestamp, Workspace, store::Purge};

/// The maximum number of records to delete in one step. Other writes wait while a step runs.
const BATCH: u32 = 500;

impl Issuer {
    /// The minimum time that a record is kept after its key was revoked: 24 hours.
    pub const KEPT_AFTER_REVOCATION: Duration = REPLAY_WINDOW;

    /// Deletes the records of keys that were revoked before `revoked_before`, in one workspace or
    /// in all, and returns the number of deleted records. Checks no permission: it is meant for the
    /// host itself.
    ///
    /// It keeps some of these records:
    ///
    /// * Keys that were revoked within the last [24 hours](Self::KEPT_AFTER_REVOCATION). Otherwise,
    ///   a repeat of the request that created such a key, with the same idempotency key, would
    ///   create another key.
    /// * Keys from which a remaining key descends, by creation or by rotation. A revocation with
    ///   [`Reach::Descendants`](crate::Reach::Descendants) reaches the descendants through them.
    ///
    /// Records are deleted in steps. If a step fails, the deletions of earlier steps remain.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`] if the store fails.
    pub async fn purge(
        &self,
        workspace: Option<Workspace>,
        revoked_before: Timestamp,
    ) -> Result<u64, IssueError> {
        let kept = self.0.now().saturating_sub(Self::KEPT_AFTER_REVOCATION);
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
