//! Revokes keys.

use super::{Action, IssueError, Issuer, authority::check_covers, not_found};
use crate::{Caller, Changes, Event, EventKind, KeyId, Reach, Revocation};

impl Issuer {
    /// Revokes a key, or the key and all its descendants. A revoked key can never be activated
    /// again.
    ///
    /// The caller must cover the permissions of the key. A key can revoke itself without any
    /// permission. Descendants are revoked with the key, whatever their permissions and owner.
    ///
    /// Once this returns, all verifiers of this process reject the key. Other processes reject it
    /// within the bound that the docs of the store state.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write` or one of
    /// the permissions of the key, [`CallerInactive`](IssueError::CallerInactive),
    /// [`Random`](IssueError::Random), [`Store`](IssueError::Store), and
    /// [`NotFound`](IssueError::NotFound) if there is no such key or all of the keys were already
    /// revoked.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: &KeyId,
        reach: Reach,
    ) -> Result<Revocation, IssueError> {
        let caller = &self.current(caller).await?;
        let event = self.plan_revocation(caller, id, reach).await?;
        let now = self.verifier.now();
        let revoked = self
            .verifier
            .store()
            .revoke(
                caller.workspace(),
                id,
                reach,
                now,
                self.recorder.written(&event),
            )
            .await;
        if let Ok(Revocation { count: 0, .. }) = revoked {
            return Err(IssueError::NotFound);
        }
        let event = match &revoked {
            Ok(revocation) => event.with_count(revocation.count),
            Err(_) => event,
        };
        self.recorder.report(&event, &revoked);
        revoked.map_err(not_found)
    }

    /// Makes the event of a revocation, if the caller may revoke the key.
    pub(super) async fn plan_revocation(
        &self,
        caller: &Caller,
        id: &KeyId,
        reach: Reach,
    ) -> Result<Event, IssueError> {
        let scope = self.scope(caller, Action::Revoke, Some(id))?;
        let record = self.visible(caller, &scope, id).await?;
        if caller.key() != Some(id) {
            check_covers(caller, &record.key.permissions)?;
        }
        let kind = EventKind::Revoked {
            cascade: reach == Reach::Descendants,
            count: None,
        };
        Ok(self.event(caller, &record.key, kind, Changes::default())?)
    }
}
