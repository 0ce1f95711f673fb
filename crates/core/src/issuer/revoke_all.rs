//! Revokes all keys of a workspace or an owner.

use futures_util::future::join_all;

use super::{Action, IssueError, Issuer};
use crate::{Caller, ListKeys, ListStart, Owner, Reach, Status};

/// The maximum number of passes over the list, because keys may be created during a pass.
const MAX_PASSES: usize = 20;

impl Issuer {
    /// Revokes all keys of the caller's workspace that the caller sees, or those of one owner, and
    /// returns how many keys it revoked. This includes the keys that they create in the meantime.
    /// Use it when a person or a customer leaves.
    ///
    /// If keys create others faster than this revokes them, it revokes them together with their
    /// descendants, which may have other owners.
    ///
    /// Keys are revoked one after another. If one fails, the others on its page are still revoked,
    /// and then the error is returned. Calling this again continues.
    ///
    /// # Errors
    ///
    /// As for [`revoke`](Self::revoke) and [`list`](Self::list), and
    /// [`StillCreated`](IssueError::StillCreated) if keys are created faster than this revokes
    /// them.
    pub async fn revoke_all(
        &self,
        caller: &Caller,
        owner: Option<&Owner>,
    ) -> Result<u64, IssueError> {
        self.current(caller).await?;
        self.authorize(caller, Action::Revoke, None)?;
        self.authorize(caller, Action::List, None)?;
        let mut total = 0;
        // First revoke each key alone, in small transactions. The remaining keys may create others
        // faster than this loop lists them, so revoke them together with their descendants.
        let passes = std::iter::repeat_n(Reach::Descendants, MAX_PASSES);
        for reach in std::iter::once(Reach::Key).chain(passes) {
            let mut found = false;
            for status in [Status::Active, Status::Disabled, Status::Expired] {
                let mut list = ListKeys::new()
                    .with_status(status)
                    .with_limit(ListKeys::MAX_LIMIT);
                list.owner = owner.cloned();
                total += self.revoke_listed(caller, list, reach, &mut found).await?;
            }
            if !found {
                return Ok(total);
            }
        }
        Err(IssueError::StillCreated)
    }

    /// Revokes the keys of a list, and returns how many keys it revoked. Sets `found` if there are
    /// any.
    async fn revoke_listed(
        &self,
        caller: &Caller,
        mut list: ListKeys,
        reach: Reach,
        found: &mut bool,
    ) -> Result<u64, IssueError> {
        let mut total = 0;
        let mut failed = None;
        loop {
            let page = self.list(caller, list.clone()).await?;
            *found |= !page.keys.is_empty();
            // Concurrently, so that a store can commit them together.
            let revocations = page.keys.iter();
            let revocations = revocations.map(|key| self.revoke(caller, &key.id, reach));
            for revoked in join_all(revocations).await {
                match revoked {
                    Ok(revocation) => total += revocation.count,
                    // Another call has just revoked the key.
                    Err(IssueError::NotFound) => {}
                    Err(error) => failed = Some(error),
                }
            }
            match (page.next, failed.take()) {
                (Some(cursor), None) => list.start = ListStart::After(cursor),
                (None, None) => return Ok(total),
                // The caller itself may just have been revoked, so no later page could be read.
                (_, Some(error)) => return Err(error),
            }
        }
    }
}
