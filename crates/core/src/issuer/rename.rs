//! Changes the name and the metadata of keys.

use super::{IssueError, Issuer, not_found};
use crate::{Caller, Key, KeyId, Permission, Rename, store::StoreErrorKind};

/// The maximum number of attempts at a change. An attempt fails if another change is made between
/// its read and its write.
pub(super) const CHANGE_ATTEMPTS: u32 = 5;

impl Issuer {
    /// Changes the name, the metadata, or both, of a key that is not revoked.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write`,
    /// [`CallerInactive`](IssueError::CallerInactive), [`NotFound`](IssueError::NotFound), and
    /// [`Store`](IssueError::Store). Its kind is [`Conflict`](StoreErrorKind::Conflict) if other
    /// changes interfered with five attempts.
    pub async fn rename(
        &self,
        caller: &Caller,
        id: &KeyId,
        rename: &Rename,
    ) -> Result<Key, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_WRITE)?;
        let mut attempts = 1;
        loop {
            let version = self.changeable(caller, id).await?.version;
            let renamed = self
                .0
                .store()
                .rename(caller.workspace(), id, version, rename)
                .await;
            match renamed {
                Err(error)
                    if error.kind() == StoreErrorKind::Conflict && attempts < CHANGE_ATTEMPTS =>
                {
                    attempts += 1;
                }
                done => {
                    let mut key = done.map_err(not_found)?;
                    self.0.overlay_last_uses(std::slice::from_mut(&mut key));
                    return Ok(key);
                }
            }
        }
    }
}
