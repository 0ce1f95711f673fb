//! The issuer, which creates, lists, renames, rotates and revokes keys for callers.

mod claim;
mod create;
mod error;
mod first;
mod idempotency;
mod introspect;
mod list;
mod mint;
mod purge;
mod rename;
mod revoke;
mod rotate;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use self::{
    create::{Expiry, Issued, NewKey},
    error::IssueError,
    idempotency::{IdempotencyKey, IdempotencyKeyError, IssueOutcome},
    introspect::Introspection,
    mint::Minted,
    rotate::NewRotation,
};
use crate::{
    Caller, Permission, Status, Timestamp, Verifier,
    store::{Record, StoreError, StoreErrorKind},
};

/// Creates, lists, renames, rotates and revokes keys on behalf of a [`Caller`].
///
/// A key never has permissions that its caller lacks, and a caller never sees a key of another
/// workspace. A caller that the verifier of another [`Keywright`](crate::Keywright) verified is
/// rejected with [`IssueError::CallerForeign`] everywhere. Cloning is cheap, and all clones share
/// their state.
#[derive(Clone, Debug)]
pub struct Issuer(pub(crate) Verifier);

impl Issuer {
    /// Returns the time to compare expiries with: the current time of the configured
    /// [`Clock`](crate::Clock), or its latest reading if the clock was set back since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.expiry_now()
    }

    /// Checks that a caller has not expired and has a permission.
    ///
    /// # Errors
    ///
    /// [`IssueError::CallerInactive`] if the caller has expired, [`IssueError::NotPermitted`] if it
    /// lacks the permission, and [`IssueError::CallerForeign`] if another instance verified it.
    pub fn authorize(&self, caller: &Caller, permission: &Permission) -> Result<(), IssueError> {
        self.check_origin(caller)?;
        authorize(caller, permission, self.0.expiry_now())
    }
}

impl Issuer {
    /// Checks that the caller counts for this instance. The permissions of a caller that another
    /// one verified are those of a key in another store.
    fn check_origin(&self, caller: &Caller) -> Result<(), IssueError> {
        if self.0.trusts(caller) {
            Ok(())
        } else {
            Err(IssueError::CallerForeign)
        }
    }

    /// Returns the caller with the current expiry of its key. While a client sends the body of its
    /// request, the key that it was verified with may be revoked or given an earlier expiry.
    async fn current(&self, caller: &Caller) -> Result<Caller, IssueError> {
        self.check_origin(caller)?;
        let now = self.0.expiry_now();
        let Some(id) = caller.key() else {
            let is_current = caller.is_current(now).then(|| caller.clone());
            return is_current.ok_or(IssueError::CallerInactive);
        };
        let found = self
            .0
            .read_current(id, |key| (key.status(now), key.expires_at))
            .await?;
        if_active(caller, found)
    }

    /// Returns the caller with the expiry that its key has in the store, bypassing the cache.
    async fn current_in_store(&self, caller: &Caller) -> Result<Caller, IssueError> {
        let now = self.0.expiry_now();
        let Some(id) = caller.key() else {
            let is_current = caller.is_current(now).then(|| caller.clone());
            return is_current.ok_or(IssueError::CallerInactive);
        };
        let found = self.0.store().find(id).await?;
        let found = found.map(|Record { key, .. }| (key.status(now), key.expires_at));
        if_active(caller, found)
    }
}

/// Returns the caller with the expiry that its key was found to have, if the key is active.
fn if_active(
    caller: &Caller,
    found: Option<(Status, Option<Timestamp>)>,
) -> Result<Caller, IssueError> {
    match found {
        Some((Status::Active, end)) => Ok(caller.clone().ending_by(end)),
        Some((Status::Expired | Status::Revoked, _)) | None => Err(IssueError::CallerInactive),
    }
}

/// Checks that a caller has not expired and has a permission.
fn authorize(caller: &Caller, permission: &Permission, now: Timestamp) -> Result<(), IssueError> {
    if !caller.is_current(now) {
        return Err(IssueError::CallerInactive);
    }
    if !caller.may(permission) {
        return Err(IssueError::NotPermitted(permission.clone()));
    }
    Ok(())
}

/// Checks that `end` lies in the future and not after the expiry of the caller.
fn check_expiry(caller: &Caller, end: Timestamp, now: Timestamp) -> Result<(), IssueError> {
    if end <= now {
        Err(IssueError::ExpiryPast)
    } else if caller.expires_at().is_some_and(|last| last < end) {
        Err(IssueError::ExpiryBeyondCaller)
    } else {
        Ok(())
    }
}

/// Converts a store's `NotFound` into the issuer's.
fn not_found(error: StoreError) -> IssueError {
    match error.kind() {
        StoreErrorKind::NotFound => IssueError::NotFound,
        _ => IssueError::Store(error),
    }
}

/// Returns a digest of the parts, each preceded by its length.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
