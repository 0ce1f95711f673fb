//! Revokes keys.

use super::{IssueError, Issuer, not_found};
use crate::{Caller, KeyId, Permission, Reach, Revocation};

impl Issuer {
    /// Revokes a key, or the key and all its descendants. A revoked key can never be activated
    /// again.
    ///
    /// Once this returns, all verifiers of this process reject the key. Other processes reject it
    /// within the bound that the docs of the store state.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write`,
    /// [`CallerInactive`](IssueError::CallerInactive), [`Store`](IssueError::Store), and
    /// [`NotFound`](IssueError::NotFound) if there is no such key or all of the keys were already
    /// revoked.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: &KeyId,
        reach: Reach,
    ) -> Result<Revocation, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_WRITE)?;
        self.visible(caller, id).await?;
        let now = self.0.clock.now();
        let revoked = self
            .0
            .store
            .revoke(caller.workspace(), id, reach, now)
            .await;
        let revocation = revoked.map_err(not_found)?;
        if revocation.count == 0 {
            return Err(IssueError::NotFound);
        }
        Ok(revocation)
    }
}
