//! The issuer, which creates, lists, updates, rotates and revokes keys for callers.

mod authority;
mod claim;
mod create;
mod cursor;
mod error;
mod events;
mod expiry;
mod first;
mod idempotency;
mod introspect;
mod list;
mod mint;
mod prepare;
mod purge;
mod recorder;
mod report;
mod revoke;
mod revoke_all;
mod rotate;
#[cfg(test)]
mod tests;
mod update;

use std::time::Duration;

use sha2::{Digest, Sha256};

pub(crate) use self::recorder::Recorder;
pub use self::{
    authority::Action,
    create::{Expiry, Issued, NewKey},
    error::IssueError,
    idempotency::{IdempotencyKey, IdempotencyKeyError, IssueOutcome},
    introspect::{Introspection, IntrospectionRequest},
    mint::Minted,
    prepare::{PreparedCaller, PreparedKey, PreparedRevocation, PreparedUpdate},
    report::{Report, ReportSection},
    rotate::NewRotation,
};
use crate::{
    Caller, Key, Status, Timestamp, Verifier,
    store::{Record, StoreError, StoreErrorKind},
};

/// Creates, lists, updates, rotates and revokes keys on behalf of a [`Caller`].
///
/// A key never has permissions that its caller lacks, and a caller never sees a key of another
/// workspace. A caller that the verifier of another [`Keywright`](crate::Keywright) verified is
/// rejected with [`IssueError::CallerForeign`] everywhere, and one whose key has been restricted to
/// other addresses since with [`IssueError::CallerAddress`]. Cloning is cheap, and all clones share
/// their state.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(crate) verifier: Verifier,
    /// The maximum time between the creation of a key and its expiry.
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) recorder: Recorder,
}

impl Issuer {
    /// Returns the time to compare expiries with: the current time of the configured
    /// [`Clock`](crate::Clock), or its latest reading if the clock was set back since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.verifier.expiry_now()
    }
}

impl Issuer {
    /// Checks that the caller counts for this instance. The permissions of a caller that another
    /// one verified are those of a key in another store.
    fn check_origin(&self, caller: &Caller) -> Result<(), IssueError> {
        if self.verifier.trusts(caller) {
            Ok(())
        } else {
            Err(IssueError::CallerForeign)
        }
    }

    /// Returns the caller, restricted to what its key may do now. The key may have been revoked,
    /// disabled or narrowed while the client was sending the body of its request.
    async fn current(&self, caller: &Caller) -> Result<Caller, IssueError> {
        self.check_origin(caller)?;
        let now = self.verifier.expiry_now();
        let Some(id) = caller.key() else {
            let is_current = caller.is_current(now).then(|| caller.clone());
            return is_current.ok_or(IssueError::CallerInactive);
        };
        let restricted = |key: &Key| restricted(caller, key, now);
        let found = self.verifier.read_current(id, restricted).await?;
        found.unwrap_or(Err(IssueError::CallerInactive))
    }

    /// Returns the [current](Self::current) caller, but reads its key from the store, not the
    /// cache.
    async fn current_in_store(&self, caller: &Caller) -> Result<Caller, IssueError> {
        let now = self.verifier.expiry_now();
        let Some(id) = caller.key() else {
            let is_current = caller.is_current(now).then(|| caller.clone());
            return is_current.ok_or(IssueError::CallerInactive);
        };
        let found = self.verifier.store().find(id).await?;
        match found {
            Some(Record { key, .. }) => restricted(caller, &key, now),
            None => Err(IssueError::CallerInactive),
        }
    }
}

/// Returns the caller, restricted to what its key may do now.
fn restricted(caller: &Caller, key: &Key, now: Timestamp) -> Result<Caller, IssueError> {
    if key.status(now) != Status::Active {
        return Err(IssueError::CallerInactive);
    }
    if !caller.is_at_allowed_address(key) {
        return Err(IssueError::CallerAddress);
    }
    let restricted = caller.clone().restricted_to(key);
    restricted.ok_or(IssueError::CallerAddress)
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
