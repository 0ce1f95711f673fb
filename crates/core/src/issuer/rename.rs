//! Giving a key another name or other metadata.

use super::{IssueError, Issuer, not_found};
use crate::{Caller, Key, KeyId, Permission, Rename, StoreErrorKind};

/// How often a change is tried again because another one came between reading and writing.
pub(super) const CHANGE_ATTEMPTS: u32 = 5;

impl Issuer {
    /// Replaces the name, the metadata, or both, of a key that is not revoked.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:write`, [`IssueError::NotFound`], and what the
    /// store reports: a [`Conflict`](StoreErrorKind::Conflict) only if others change the key again
    /// and again.
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
