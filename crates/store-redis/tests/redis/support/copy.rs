//! A copy of a record, used as by a verifier: while the store's lease holds for it.

use std::time::{Duration, Instant};

use futures_executor::block_on;
use keywright_core::{
    KeyId,
    store::{KeyStore, Stamp, StoreError, StoreErrorKind},
};
use keywright_store_redis::RedisStore;

use super::{now, times::BOUND, wait_for, wait_until};

pub(crate) struct Copy<'s> {
    store: &'s RedisStore,
    id: KeyId,
    stamp: Stamp,
    revoked: bool,
}

impl<'s> Copy<'s> {
    /// Reads a record once the store is available.
    #[track_caller]
    pub(crate) fn of(store: &'s RedisStore, id: KeyId) -> Self {
        wait_for("the record can be read", || {
            unless_unavailable(Self::read(store, id))
        })
    }

    /// Reads a record until the store's lease holds for the copy.
    #[track_caller]
    pub(crate) fn usable(store: &'s RedisStore, id: KeyId) -> Self {
        let mut copy = Self::of(store, id);
        wait_until("the lease holds for a copy", || {
            if copy.is_usable() {
                return true;
            }
            if let Some(fresh) = unless_unavailable(Self::read(store, id)) {
                copy = fresh;
            }
            copy.is_usable()
        });
        copy
    }

    fn read(store: &'s RedisStore, id: KeyId) -> Result<Self, StoreError> {
        let stamp = store.lease().stamp(&id);
        let record = block_on(store.find(&id))?.expect("the store has lost a record");
        let revoked = record.key.revoked_at.is_some();
        Ok(Self {
            store,
            id,
            stamp,
            revoked,
        })
    }

    /// Whether the lease holds for the copy.
    pub(crate) fn is_usable(&self) -> bool {
        self.store.lease().holds(&self.id, self.stamp)
    }

    /// Whether the store has reported no change since the copy was read, even if its lease has
    /// lapsed.
    pub(crate) fn is_current(&self) -> bool {
        self.store.lease().stamp(&self.id) == self.stamp
    }

    /// Whether the key is accepted: by the copy if the lease holds for it, otherwise by the store.
    pub(crate) fn accepts(&mut self) -> Result<bool, StoreError> {
        if !self.is_usable() {
            *self = Self::read(self.store, self.id)?;
        }
        Ok(!self.revoked)
    }

    /// Whether the key is accepted, once the store is available.
    #[track_caller]
    pub(crate) fn accepts_when_available(&mut self) -> bool {
        wait_for("the key is decided", || unless_unavailable(self.accepts()))
    }

    /// Whether the copy alone is enough to accept the key.
    pub(crate) fn accepts_alone(&self) -> bool {
        self.is_usable() && !self.revoked
    }
}

fn unless_unavailable<T>(result: Result<T, StoreError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == StoreErrorKind::Unavailable => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Waits until a key that was revoked at `revoked` is rejected, and returns how long it was
/// accepted.
///
/// It must not be accepted after the bound. Each check begins after its time is measured, so that a
/// slow machine cannot fail this.
#[track_caller]
pub(crate) fn assert_rejected_in_time(
    revoked: Instant,
    mut accepts: impl FnMut() -> bool,
) -> Duration {
    let mut accepted_for = Duration::ZERO;
    wait_until("the key is rejected", || {
        let checked = now();
        if !accepts() {
            return true;
        }
        accepted_for = checked.saturating_duration_since(revoked);
        assert!(
            accepted_for <= BOUND,
            "accepted {accepted_for:?} after the revocation"
        );
        false
    });
    accepted_for
}
