//! The keys that were verified lately: what proves their tokens, and their records while these are
//! fresh.

use std::{collections::VecDeque, fmt, sync::Arc};

use super::{
    known::Known,
    map::Map,
    proof::{Fingerprint, Proof, TokenMac},
};
use crate::{
    KeyId, meter,
    store::{Lease, Stamp, Watch},
    sync::{AtomicBool, AtomicU64, Mutex, Ordering, PoisonError, fence},
};

/// How many keys at most are passed over because they were used since they were last looked at, when
/// room is made for one.
const PASSED_OVER: usize = 32;

/// What an entry's freshness is while it is being filled, with a number of its own in the other bits.
const FILLING: u64 = 1 << 63;

/// What an entry's freshness is once its record has changed.
const STALE: u64 = u64::MAX;

/// A bounded map of verified keys. It keeps two things apart: the proof, which stands for as long as
/// the stored hash is the same, and the record, which is fresh until the store tells otherwise.
pub(crate) struct Cache {
    map: Map<Entry>,
    lease: Arc<Lease>,
    capacity: usize,
    /// Each id in the map, in the order in which they are looked at for eviction.
    order: Mutex<VecDeque<KeyId>>,
    fills: AtomicU64,
}

/// What is known of one key.
pub(crate) struct Entry {
    pub(super) proof: Proof,
    pub(super) known: Arc<Known>,
    /// Whether the hash is one that would not be made any more.
    pub(super) outdated: AtomicBool,
    /// The epoch of the lease in which the record is fresh, or [`FILLING`] or [`STALE`].
    freshness: AtomicU64,
    /// Whether it was used since it was last looked at for eviction.
    hot: AtomicBool,
}

impl Entry {
    pub(super) fn new(proof: Proof, known: Arc<Known>, outdated: bool) -> Self {
        Self {
            proof,
            known,
            outdated: AtomicBool::new(outdated),
            freshness: AtomicU64::new(STALE),
            hot: AtomicBool::new(false),
        }
    }

    /// Keeps it from being the next to make room. It writes only what changes, since others read it.
    pub(super) fn mark_used(&self) {
        if !self.hot.load(Ordering::Relaxed) {
            self.hot.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the token is the one that was proven against this hash: `None` if another hash was.
    pub(super) fn proves(&self, token: TokenMac, hash: Fingerprint) -> Option<bool> {
        (self.proof.hash == hash).then(|| self.proof.token.matches(token))
    }
}

impl Cache {
    /// A cache of that many keys; 0 is none at all.
    pub(crate) fn new(capacity: usize, lease: Arc<Lease>) -> Arc<Self> {
        let cache = Arc::new(Self {
            map: Map::new(),
            lease: Arc::clone(&lease),
            capacity,
            order: Mutex::default(),
            fills: AtomicU64::new(0),
        });
        let watcher: std::sync::Weak<dyn Watch> = Arc::downgrade(&cache) as _;
        lease.watch(watcher);
        cache
    }

    /// Looks at what is known of a key, if its record may be used as it is.
    #[inline]
    pub(super) fn look_fresh<R>(&self, id: &KeyId, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        // What is told is told before the lease is extended, so the lease is looked at first.
        if !self.lease.vouches() {
            return None;
        }
        self.map
            .look(id, |entry| {
                let fresh = entry.freshness.load(Ordering::Acquire) == self.lease.epoch();
                fresh.then(|| {
                    entry.mark_used();
                    look(entry)
                })
            })
            .flatten()
    }

    /// Looks at what is known of a key, be it old.
    pub(super) fn look<R>(&self, id: &KeyId, look: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.map.look(id, look)
    }

    /// Takes in what is known of a key whose record was read after the stamp was taken. It counts as
    /// fresh only if no change of the record was told since.
    pub(super) fn fill(&self, id: KeyId, stamp: Stamp, entry: Entry) {
        if self.capacity == 0 {
            return;
        }
        let filling = FILLING | self.fills.fetch_add(1, Ordering::Relaxed);
        entry.freshness.store(filling, Ordering::Relaxed);
        if self.map.insert(id, entry) {
            self.make_room(id);
        }
        // Whoever tells of a change moves the stamp first and looks for the entry then; this has put
        // the entry first and looks at the stamp now: one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.lease.stamp(&id) == stamp {
            self.map.look(&id, |entry| {
                // Not if it was told meanwhile, or is another's.
                let _ = entry.freshness.compare_exchange(
                    filling,
                    stamp.epoch(),
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                );
            });
        }
    }

    /// Takes a new id into the order, and others out of the map that have not been used for longest.
    fn make_room(&self, id: KeyId) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(id);
        let mut passed_over = 0;
        while order.len() > self.capacity {
            let Some(oldest) = order.pop_front() else {
                return;
            };
            let hot = self
                .map
                .look(&oldest, |entry| entry.hot.swap(false, Ordering::Relaxed));
            if hot == Some(true) && passed_over < PASSED_OVER {
                passed_over += 1;
                order.push_back(oldest);
            } else {
                self.map.remove(&oldest);
                meter::evicted();
            }
        }
    }

    /// How many keys it holds.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Why there is no fresh copy.
    pub(super) fn miss(&self, id: &KeyId) -> Miss {
        if !self.lease.vouches() {
            Miss::Lapsed
        } else if self.map.look(id, |_| ()).is_some() {
            Miss::Stale
        } else {
            Miss::Absent
        }
    }
}

/// Why what is known of a key may not be used as it is.
#[derive(Clone, Copy)]
pub(crate) enum Miss {
    /// Nothing is known of it.
    Absent,
    /// Its record has changed.
    Stale,
    /// The lease does not hold.
    Lapsed,
}

impl Watch for Cache {
    fn changed(&self, id: &KeyId) {
        self.map
            .look(id, |entry| entry.freshness.store(STALE, Ordering::SeqCst));
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("keys", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
