//! The lease of a store: how long copies of its records may be used, and which of them changed.

use std::{
    fmt,
    sync::Weak,
    time::{Duration, Instant},
};

use crate::{
    KeyId,
    sync::{AtomicU64, Ordering, PoisonError, RwLock, fence},
    time::{MAX_COARSE_LAG, coarse, monotonic},
};

/// The number of generations. If two records share a generation, a change of either discards a copy
/// of the other only if that copy is being read at that moment.
const STRIPES: usize = 256;

/// The end of a lapsed lease.
const NEVER: u64 = 0;

/// The end of an unlimited lease.
const ALWAYS: u64 = u64::MAX;

/// A store's promise about copies of its records (clause 13 of [`KeyStore`](super::KeyStore)).
///
/// Verifiers cache records and use a copy only while the lease holds for it. A store has one lease
/// for its whole lifetime, and reports every change to it:
///
/// * For a change that the store makes itself, it commits the change, then calls
///   [`changed`](Self::changed) or [`changed_all`](Self::changed_all), and then acknowledges the
///   change to its caller.
/// * For changes that others make, it records the time, requests all changes so far, and calls
///   `changed` for each of them, or `changed_all` if it does not know which records changed. Then
///   it [extends](Self::extend) the lease, counted from the recorded time. If the request fails,
///   the lease lapses, and each verification reads the record from the store.
///
/// All times come from the monotonic clock, so setting the wall clock has no effect.
///
/// ```
/// use std::time::Duration;
///
/// use keywright_core::{KeyId, store::Lease};
///
/// let id = KeyId::parse("key_0U5lKtf600000000")?;
/// let lease = Lease::lapsed();
/// lease.extend(lease.now() + Duration::from_secs(60));
///
/// let stamp = lease.stamp(&id);
/// // The verifier reads the record here.
/// assert!(lease.holds(&id, stamp));
/// lease.changed(&id);
/// assert!(!lease.holds(&id, stamp));
/// # Ok::<(), keywright_core::error::KeyIdError>(())
/// ```
pub struct Lease {
    origin: Instant,
    /// The origin on the coarse clock.
    coarse_origin: u64,
    /// The end of the lease, in nanoseconds after the origin on the coarse clock.
    until: AtomicU64,
    /// Incremented when all copies become stale.
    epoch: AtomicU64,
    /// Incremented when the copies of a record become stale. The last characters of the id select
    /// the generation.
    generations: [AtomicU64; STRIPES],
    watchers: RwLock<Vec<Weak<dyn Watch>>>,
}

/// A cache of records that is notified of changes.
pub(crate) trait Watch: Send + Sync {
    /// Marks the cached copy of this record as stale.
    fn changed(&self, id: &KeyId);
}

/// The state of a lease for one record, taken before the record is read. The copy is fresh as long
/// as the state does not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    epoch: u64,
    generation: u64,
}

impl Stamp {
    /// The number of the last change of all records before the stamp was taken.
    pub(crate) const fn epoch(self) -> u64 {
        self.epoch
    }
}

impl Lease {
    /// Creates a lease without an end, for a store that is the only writer of its records.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::until(ALWAYS)
    }

    /// Creates a lease that does not hold until it is extended. If a store never extends it, each
    /// verification reads the record from the store.
    #[must_use]
    pub fn lapsed() -> Self {
        Self::until(NEVER)
    }

    fn until(until: u64) -> Self {
        // The coarse clock is read first. Time that passes before the second read shortens leases
        // and never lengthens them.
        let coarse_origin = coarse();
        Self {
            origin: monotonic(),
            coarse_origin,
            until: AtomicU64::new(until),
            epoch: AtomicU64::new(0),
            generations: [const { AtomicU64::new(0) }; STRIPES],
            watchers: RwLock::default(),
        }
    }

    /// Returns the current time of the monotonic clock that leases use.
    #[must_use]
    pub fn now(&self) -> Instant {
        monotonic()
    }

    /// Extends the lease until the given time. A verifier that sees the new end also sees all
    /// changes that were reported before this call.
    ///
    /// The lease ends up to 50 milliseconds before that time, because verifiers measure it with a
    /// coarse clock. It ends no later, as long as that clock lags by at most 25 milliseconds.
    pub fn extend(&self, until: Instant) {
        // When a verifier reads the coarse clock, it may lag by a tick. So the lease must end a
        // tick earlier. The clock may also have lagged by a tick at the origin, which can end the
        // lease another tick earlier.
        let span = until.saturating_duration_since(self.origin);
        let nanos = u64::try_from(span.saturating_sub(MAX_COARSE_LAG).as_nanos()).unwrap_or(ALWAYS);
        self.until
            .store(nanos.clamp(NEVER, ALWAYS - 1), Ordering::Release);
    }

    /// Ends the lease now, because the store has lost the connection to its records.
    pub fn end(&self) {
        self.until.store(NEVER, Ordering::Release);
    }

    /// Reports that a record was changed or deleted.
    pub fn changed(&self, id: &KeyId) {
        self.generation(id).fetch_add(1, Ordering::SeqCst);
        // This thread increments the generation, and then looks for copies to mark as stale. A
        // cache stores a copy, and then compares the generation with its stamp. Both have a fence
        // in between, so at least one of the two sees the other's write.
        fence(Ordering::SeqCst);
        let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.changed(id);
        }
    }

    /// Reports that any record may have changed.
    pub fn changed_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the state of the lease for a record. Take it before reading the record.
    #[must_use]
    pub fn stamp(&self, id: &KeyId) -> Stamp {
        Stamp {
            epoch: self.epoch.load(Ordering::SeqCst),
            generation: self.generation(id).load(Ordering::SeqCst),
        }
    }

    /// Whether a copy that was read after this stamp was taken may be used now.
    #[must_use]
    pub fn holds(&self, id: &KeyId, stamp: Stamp) -> bool {
        self.vouches() && self.stamp(id) == stamp
    }

    /// Whether the lease has not ended, so that copies without a reported change may be used.
    // Check this before the stamp: changes are reported before the lease is extended.
    pub(crate) fn vouches(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            NEVER => false,
            ALWAYS => true,
            until => self.elapsed() < until,
        }
    }

    /// Returns how long the lease holds unless it is extended. `None` if it has no end.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        match self.until.load(Ordering::Acquire) {
            NEVER => Some(Duration::ZERO),
            ALWAYS => None,
            until => Some(Duration::from_nanos(until.saturating_sub(self.elapsed()))),
        }
    }

    /// Returns the nanoseconds since the origin on the coarse clock.
    fn elapsed(&self) -> u64 {
        coarse().saturating_sub(self.coarse_origin)
    }

    /// Returns the current epoch. Copies from an earlier epoch are stale.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Notifies a cache of changes until the cache is dropped.
    pub(crate) fn watch(&self, watcher: Weak<dyn Watch>) {
        let mut watchers = self
            .watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(watcher);
    }

    fn generation(&self, id: &KeyId) -> &AtomicU64 {
        // The last characters of an id are random.
        let [.., a, b] = id.as_bytes();
        let stripe = (usize::from(*a) * 62 + usize::from(*b)) % STRIPES;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        &self.generations[stripe]
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("vouches", &self.vouches())
            .field("remaining", &self.remaining())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
