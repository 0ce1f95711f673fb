//! Revokes all keys of a workspace or an owner.

use futures_util::future::join_all;

use super::{Action, IssueError, Issuer};
use crate::{Caller, ListKeys, ListStart, Owner, Reach, Status};

/// The maximum number of passes over the list, because keys may be created during a pass.
const MAX_PASSES: usize = 20;

impl Issuer {
    /// Revokes all keys of the caller's workspace that the caller sees, or those of one owner, and
    /// returns how many keys it revoked. This includes the keys that they create in the meantime.
    /// Use it when a person or a customer leaves. If the caller's own key is one of them, it is
    /// revoked last.
    ///
    /// With an owner, keys of other owners that descend from those keys stay active, unless they
    /// descend from a key that was created during the call.
    ///
    /// A key with permissions that the caller lacks stays active. The other keys are revoked first,
    /// and then the error is returned. Any other error ends the call at once, and calling this
    /// again continues.
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
        let current = self.current(caller).await?;
        let scope = self.scope(&current, Action::Revoke, None)?;
        self.scope(&current, Action::List, None)?;
        let owner = match (scope.owner(), owner) {
            (Some(own), Some(other)) if own != other => return Ok(0),
            (own, wanted) => own.or(wanted),
        };
        let mut listed = Listed::default();
        let mut total = 0;
        // First revoke each key alone, in small transactions. The remaining keys may create others
        // faster than this loop lists them, so revoke them together with their descendants.
        let passes = std::iter::repeat_n(Reach::Descendants, MAX_PASSES);
        for reach in std::iter::once(Reach::Key).chain(passes) {
            listed.others = false;
            for status in [Status::Active, Status::Disabled, Status::Expired] {
                let mut list = ListKeys::new()
                    .with_status(status)
                    .with_limit(ListKeys::MAX_LIMIT);
                list.owner = owner.cloned();
                total += self.revoke_listed(caller, list, reach, &mut listed).await?;
            }
            if listed.others {
                continue;
            }
            if let (true, Some(id)) = (listed.itself, caller.key()) {
                match self.revoke(caller, id, Reach::Key).await {
                    Ok(revocation) => total += revocation.count,
                    // Another call has just revoked it.
                    Err(IssueError::NotFound | IssueError::CallerInactive) => {}
                    Err(error) => return Err(error),
                }
            }
            return listed.not_permitted.map_or(Ok(total), Err);
        }
        Err(IssueError::StillCreated)
    }

    /// Revokes the keys of a list except the caller's own, and returns how many keys it revoked.
    async fn revoke_listed(
        &self,
        caller: &Caller,
        mut list: ListKeys,
        reach: Reach,
        listed: &mut Listed,
    ) -> Result<u64, IssueError> {
        let mut total = 0;
        loop {
            let page = self.list(caller, list.clone()).await?;
            let (own, others): (Vec<_>, Vec<_>) = page
                .keys
                .iter()
                .partition(|key| caller.key() == Some(&key.id));
            listed.itself |= !own.is_empty();
            // Concurrently, so that a store can commit them together.
            let revocations = others.iter();
            let revocations = revocations.map(|key| self.revoke(caller, &key.id, reach));
            for revoked in join_all(revocations).await {
                match revoked {
                    Ok(revocation) => {
                        listed.others = true;
                        total += revocation.count;
                    }
                    // Another call has just revoked the key, which may have created others before.
                    Err(IssueError::NotFound) => listed.others = true,
                    Err(error @ IssueError::NotPermitted(_)) => listed.not_permitted = Some(error),
                    Err(error) => return Err(error),
                }
            }
            match page.next {
                Some(cursor) => list.start = ListStart::After(cursor),
                None => return Ok(total),
            }
        }
    }
}

/// The keys that the passes over the list have found.
#[derive(Default)]
struct Listed {
    /// Whether the caller's own key is one of them.
    itself: bool,
    /// Whether the last pass found others that the caller may revoke.
    others: bool,
    /// The error if the caller may not revoke some of them.
    not_permitted: Option<IssueError>,
}
