//! Withdrawing a key for ever.

use super::{IssueError, Issuer, not_found};
use crate::{Caller, KeyId, Permission, Reach, Revocation};

impl Issuer {
    /// Revokes a key, or it and all that it created or was rotated into. Once this returns, no
    /// verifier over the same store accepts it any more.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:write`; [`IssueError::NotFound`] also if all
    /// that would be revoked was revoked before; and what the store reports.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: &KeyId,
        reach: Reach,
    ) -> Result<Revocation, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_WRITE)?;
        self.visible(caller, id).await?;
        let now = self.0.now();
        let revoked = self
            .0
            .store()
            .revoke(caller.workspace(), id, reach, now)
            .await;
        let revocation = revoked.map_err(not_found)?;
        if revocation.count == 0 {
            return Err(IssueError::NotFound);
        }
        Ok(revocation)
    }
}
