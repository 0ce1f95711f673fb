//! A copy of a record, used as a verifier uses one: while the store's lease holds for it.

use std::{
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{KeyId, KeyStore, Stamp, StoreError};
use keywright_store_redis::RedisStore;

use super::times::BOUND;

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Copy<'s> {
    store: &'s RedisStore,
    id: KeyId,
    stamp: Stamp,
    revoked: bool,
}

impl<'s> Copy<'s> {
    /// Reads a record that is there.
    pub(crate) fn of(store: &'s RedisStore, id: KeyId) -> Self {
        Self::read(store, id).unwrap()
    }

    /// The same, once a copy can be used.
    pub(crate) fn usable(store: &'s RedisStore, id: KeyId) -> Self {
        let mut copy = Self::of(store, id);
        let usable = comes_to(|| {
            if copy.is_usable() {
                return true;
            }
            if let Ok(fresh) = Self::read(store, id) {
                copy = fresh;
            }
            copy.is_usable()
        });
        assert!(usable, "the store never vouches for a copy");
        copy
    }

    /// Reads a record, if the store can be reached.
    pub(crate) fn of_if_any(store: &'s RedisStore, id: KeyId) -> Option<Self> {
        Self::read(store, id).ok()
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

    /// Whether the store vouches for it.
    pub(crate) fn is_usable(&self) -> bool {
        self.store.lease().holds(&self.id, self.stamp)
    }

    /// Whether its key is accepted: by the copy, or else by the store.
    pub(crate) fn accepts(&mut self) -> Result<bool, StoreError> {
        if !self.is_usable() {
            *self = Self::read(self.store, self.id)?;
        }
        Ok(!self.revoked)
    }

    /// Whether the copy alone is enough to accept its key.
    pub(crate) fn accepts_alone(&self) -> bool {
        self.is_usable() && !self.revoked
    }
}

/// Waits until a key that was revoked at that moment is refused: it must not be accepted after the bound.
#[track_caller]
pub(crate) fn assert_refused_in_time(revoked: Instant, mut accepts: impl FnMut() -> bool) {
    assert!(comes_to(|| {
        let looked = now();
        let accepted = accepts();
        assert!(!accepted || looked - revoked <= BOUND);
        !accepted
    }));
}

/// Waits until something is so, and tells whether it has become so.
pub(crate) fn comes_to(mut condition: impl FnMut() -> bool) -> bool {
    let end = now() + PATIENCE;
    while now() < end {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    condition()
}

#[expect(clippy::disallowed_methods, reason = "a test must not wait for ever")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Prints how times are distributed, for who runs the tests with `--nocapture`.
pub(crate) fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what}: {} tries, median {:?}, p99 {:?}, longest {:?}",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
}
