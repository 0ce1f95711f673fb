//! Until when a store vouches for copies of its records, and which of them have changed.

use std::{
    fmt,
    sync::Weak,
    time::{Duration, Instant},
};

use crate::{
    KeyId,
    sync::{AtomicU64, Ordering, PoisonError, RwLock, fence},
    time::{TICK, coarse, monotonic},
};

/// Number of generations. Two ids that share one only make a copy that is being taken at that very
/// moment count for nothing.
const STRIPES: usize = 256;

/// The store vouches for nothing.
const NEVER: u64 = 0;

/// The store vouches until it tells otherwise.
const ALWAYS: u64 = u64::MAX;

/// What stands between a store and the copies that verifiers keep of its records (clause 13 of
/// [`KeyStore`](super::KeyStore)). A store has one, for as long as it lives, and tells it of each
/// change; verifiers use a copy only while the lease holds for it.
///
/// A change is told after it was committed and before it is acknowledged: [`changed`](Self::changed)
/// for one record, [`changed_all`](Self::changed_all) where it is not known which. A store whose
/// records others change too asks them, notes when it asked, tells of all that it has learnt, and
/// only then [extends](Self::extend) the lease, from the time at which it asked.
///
/// All times are of the monotonic clock: setting the wall clock changes nothing.
pub struct Lease {
    origin: Instant,
    /// The same moment by the coarse clock.
    coarse_origin: u64,
    /// Nanoseconds after the origin, by the coarse clock.
    until: AtomicU64,
    epoch: AtomicU64,
    generations: [AtomicU64; STRIPES],
    watchers: RwLock<Vec<Weak<dyn Watch>>>,
}

/// Where copies are kept.
pub(crate) trait Watch: Send + Sync {
    /// The copy of this record must be taken anew before it is used again.
    fn changed(&self, id: &KeyId);
}

/// The state of a record, as far as its lease knows, before a copy of it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    epoch: u64,
    generation: u64,
}

impl Stamp {
    /// What all copies have in common that were taken since everything was told to have changed.
    pub(crate) const fn epoch(self) -> u64 {
        self.epoch
    }
}

impl Lease {
    /// The lease of a store that nobody else can change: it holds until a change is told.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::until(ALWAYS)
    }

    /// A lease that holds for nothing until it is extended. A store that never extends it is asked
    /// at each verification.
    #[must_use]
    pub fn lapsed() -> Self {
        Self::until(NEVER)
    }

    fn until(until: u64) -> Self {
        // In this order: what passes between the two makes leases shorter, and never longer.
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

    /// The present time of the clock that leases are measured by.
    #[must_use]
    pub fn now(&self) -> Instant {
        monotonic()
    }

    /// Lets the lease hold until then. What was told before is known to whoever sees it.
    ///
    /// It ends up to 50 milliseconds earlier, so that a coarse clock can measure it, and not later while
    /// that clock is at most 25 milliseconds behind.
    pub fn extend(&self, until: Instant) {
        // The coarse clock may be a tick behind now, and was up to one at the origin. To allow for the
        // one ends the lease a tick earlier, the other can end it one more.
        let span = until.saturating_duration_since(self.origin);
        let nanos = u64::try_from(span.saturating_sub(TICK).as_nanos()).unwrap_or(ALWAYS);
        self.until
            .store(nanos.clamp(NEVER, ALWAYS - 1), Ordering::Release);
    }

    /// Lets the lease hold for nothing any more: the store has lost touch with its records.
    pub fn end(&self) {
        self.until.store(NEVER, Ordering::Release);
    }

    /// Tells that a record has changed or is gone.
    pub fn changed(&self, id: &KeyId) {
        self.generation(id).fetch_add(1, Ordering::SeqCst);
        // Whoever takes a copy notes it before it looks at the generation, and this looks for
        // copies after it has changed the generation: one of the two sees the other.
        fence(Ordering::SeqCst);
        let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.changed(id);
        }
    }

    /// Tells that any record may have changed.
    pub fn changed_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// To be taken before a copy is.
    #[must_use]
    pub fn stamp(&self, id: &KeyId) -> Stamp {
        Stamp {
            epoch: self.epoch.load(Ordering::SeqCst),
            generation: self.generation(id).load(Ordering::SeqCst),
        }
    }

    /// Whether a copy that was taken after this stamp may be used now.
    #[must_use]
    pub fn holds(&self, id: &KeyId, stamp: Stamp) -> bool {
        self.vouches() && self.stamp(id) == stamp
    }

    /// Whether copies may be used now of which no change was told.
    // Before any look at what was told: it is told before the lease is extended.
    pub(crate) fn vouches(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            NEVER => false,
            ALWAYS => true,
            until => self.elapsed() < until,
        }
    }

    /// For how long it still holds if nothing is told; `None` if that has no end.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        match self.until.load(Ordering::Acquire) {
            NEVER => Some(Duration::ZERO),
            ALWAYS => None,
            until => Some(Duration::from_nanos(until.saturating_sub(self.elapsed()))),
        }
    }

    /// Nanoseconds since the origin, by the coarse clock.
    fn elapsed(&self) -> u64 {
        coarse().saturating_sub(self.coarse_origin)
    }

    /// The epoch that copies must be of.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Has a place where copies are kept told of changes, until it is dropped.
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
