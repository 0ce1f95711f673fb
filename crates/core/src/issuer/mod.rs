//! What creates, shows, renames, revokes and rotates keys, for callers.

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
    idempotency::{IdempotencyKey, IdempotencyKeyError, Outcome},
    introspect::Introspection,
    list::{ListKeys, Listed, Position},
    mint::Minted,
    rotate::NewRotation,
};
use crate::{Caller, Permission, Record, Status, StoreError, StoreErrorKind, Timestamp, Verifier};

/// Creates keys for callers, shows, renames, revokes and rotates them. None can do more than the
/// caller that asked for it, and nobody sees keys of another workspace.
#[derive(Clone, Debug)]
pub struct Issuer(pub(crate) Verifier);

impl Issuer {
    /// What time it is for this issuer.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// Whether a caller may ask for this at all.
    ///
    /// # Errors
    ///
    /// [`IssueError::CallerInactive`] if its time is over, [`IssueError::NotPermitted`] if it lacks
    /// the permission.
    pub fn authorize(&self, caller: &Caller, permission: &Permission) -> Result<(), IssueError> {
        authorize(caller, permission, self.0.now())
    }
}

impl Issuer {
    /// The caller as it is now. Since it was verified, as long ago as it takes to send a body, its key
    /// may have been revoked or given an earlier end.
    async fn current(&self, caller: &Caller) -> Result<Caller, IssueError> {
        let Some(id) = caller.key() else {
            return Ok(caller.clone());
        };
        let seen = self
            .0
            .read_current(id, |key| (key.status(self.0.now()), key.expires_at))
            .await?;
        still_active(caller, seen)
    }

    /// The caller as the store knows it, however fresh the copy of its key is here.
    async fn stored(&self, caller: &Caller) -> Result<Caller, IssueError> {
        let Some(id) = caller.key() else {
            return Ok(caller.clone());
        };
        let found = self.0.store().find(id).await?;
        let seen = found.map(|Record { key, .. }| (key.status(self.0.now()), key.expires_at));
        still_active(caller, seen)
    }
}

/// The caller with the end that its key was seen to have, if that is active.
fn still_active(
    caller: &Caller,
    seen: Option<(Status, Option<Timestamp>)>,
) -> Result<Caller, IssueError> {
    match seen {
        Some((Status::Active, end)) => Ok(caller.clone().ending_by(end)),
        Some((Status::Expired | Status::Revoked, _)) | None => Err(IssueError::CallerInactive),
    }
}

fn authorize(caller: &Caller, permission: &Permission, now: Timestamp) -> Result<(), IssueError> {
    if !caller.is_current(now) {
        return Err(IssueError::CallerInactive);
    }
    if !caller.may(permission) {
        return Err(IssueError::NotPermitted(permission.clone()));
    }
    Ok(())
}

/// Whether a caller may have a key end then: in the future, and not after its own end.
fn check_expiry(caller: &Caller, end: Timestamp, now: Timestamp) -> Result<(), IssueError> {
    if end <= now {
        Err(IssueError::ExpiryPast)
    } else if caller.expires_at().is_some_and(|last| last < end) {
        Err(IssueError::ExpiryBeyondCaller)
    } else {
        Ok(())
    }
}

/// What a store's `NotFound` means for a caller.
fn not_found(error: StoreError) -> IssueError {
    match error.kind() {
        StoreErrorKind::NotFound => IssueError::NotFound,
        _ => IssueError::Store(error),
    }
}

/// A digest of parts, each with its length before it.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
