//! Deletes the records of keys that were revoked or expired long ago.

use std::time::Duration;

use super::{IssueError, Issuer, idempotency::REPLAY_WINDOW};
use crate::{Timestamp, Workspace, store::Purge};

/// The maximum number of records to delete in one step. Other writes wait while a step runs.
const BATCH: u32 = 500;

impl Issuer {
    /// The minimum time that a record is kept after its key was revoked or expired: 24 hours.
    pub const KEPT_AFTER_END: Duration = REPLAY_WINDOW;

    /// Deletes the records of keys that were revoked before `revoked_before`, and of keys that
    /// expired before `expired_before`, in one workspace or in all. `None` deletes no record for
    /// that reason. Returns the number of deleted records. Checks no permission: it is meant for
    /// the host itself.
    ///
    /// It keeps some of these records:
    ///
    /// * Keys that were revoked or expired within the last [24 hours](Self::KEPT_AFTER_END).
    ///   Otherwise, a repeat of the request that created such a key, with the same idempotency key,
    ///   would create another key.
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
        revoked_before: Option<Timestamp>,
        expired_before: Option<Timestamp>,
    ) -> Result<u64, IssueError> {
        let kept = self.verifier.now().saturating_sub(Self::KEPT_AFTER_END);
        let mut purge = Purge::new(BATCH);
        purge.workspace = workspace;
        purge.revoked_before = revoked_before.map(|time| time.min(kept));
        purge.expired_before = expired_before.map(|time| time.min(kept));
        let mut total = 0;
        loop {
            match self.verifier.store().purge(&purge).await? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }
}
