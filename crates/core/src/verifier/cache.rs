//! A cache of verified keys.

use std::{collections::VecDeque, fmt, sync::Arc};

use super::{
    cached_key::CachedKey,
    map::Map,
    proof::{Fingerprint, Proof},
    token_mac::TokenMac,
};
use crate::{
    KeyId,
    meter::{self, CacheMiss},
    store::{Lease, Stamp, Watch},
    sync::{AtomicBool, AtomicU64, Mutex, Ordering, PoisonError, fence},
};

/// The maximum number of recently used keys that an eviction skips. It evicts the key after them.
const MAX_SECOND_CHANCES: usize = 32;

/// The freshness of an entry during its fill. The other bits are the number of the fill.
const FILLING: u64 = 1 << 63;

/// The freshness of an entry whose record has changed.
const STALE: u64 = u64::MAX;

/// A bounded cache of verified keys.
///
/// An entry has two parts with different lifetimes. The proof is valid for as long as the stored
/// hash is the same. The record is fresh until the store reports that it has changed.
pub(crate) struct Cache {
    map: Map<Entry>,
    lease: Arc<Lease>,
    capacity: usize,
    /// The ids in the map. The next candidate for eviction is first.
    eviction_order: Mutex<VecDeque<KeyId>>,
    fills: AtomicU64,
}

/// The cache's entry for one key.
pub(crate) struct Entry {
    pub(super) proof: Proof,
    pub(super) cached: Arc<CachedKey>,
    /// Whether the hash has another scheme or pepper than new hashes.
    pub(super) outdated: AtomicBool,
    /// The epoch of the lease in which the record is fresh, or [`FILLING`] or [`STALE`].
    freshness: AtomicU64,
    /// Whether the entry was used since it was last considered for eviction.
    used: AtomicBool,
}

impl Entry {
    /// Creates an entry that is stale until it is put into a cache.
    pub(super) fn new(proof: Proof, cached: Arc<CachedKey>, outdated: bool) -> Self {
        Self {
            proof,
            cached,
            outdated: AtomicBool::new(outdated),
            freshness: AtomicU64::new(STALE),
            used: AtomicBool::new(false),
        }
    }

    /// Gives the entry a second chance at the next eviction.
    pub(super) fn mark_used(&self) {
        // Other threads read this flag, so write it only if it changes.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the token was verified against this hash. `None` if the entry has another hash.
    pub(super) fn proves(&self, token: TokenMac, hash: Fingerprint) -> Option<bool> {
        (self.proof.hash == hash).then(|| self.proof.token.matches(token))
    }
}

impl Cache {
    /// Creates a cache of `capacity` keys. With 0, nothing is cached.
    pub(crate) fn new(capacity: usize, lease: Arc<Lease>) -> Arc<Self> {
        let cache = Arc::new(Self {
            map: Map::new(),
            lease: Arc::clone(&lease),
            capacity,
            eviction_order: Mutex::default(),
            fills: AtomicU64::new(0),
        });
        let watcher: std::sync::Weak<dyn Watch> = Arc::downgrade(&cache) as _;
        lease.watch(watcher);
        cache
    }

    /// Calls `read` with the entry of `id`, if there is one whose record is fresh.
    #[inline]
    pub(super) fn read_fresh<R>(&self, id: &KeyId, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        // The store publishes changes before it extends the lease, so check the lease before the
        // entry.
        if !self.lease.vouches() {
            return None;
        }
        self.map
            .read(id, |entry| {
                let fresh = entry.freshness.load(Ordering::Acquire) == self.lease.epoch();
                fresh.then(|| {
                    entry.mark_used();
                    read(entry)
                })
            })
            .flatten()
    }

    /// Calls `read` with the entry of `id`, if there is one, fresh or not.
    pub(super) fn read<R>(&self, id: &KeyId, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.map.read(id, read)
    }

    /// Inserts an entry whose record was read after `stamp` was taken. The entry becomes fresh only
    /// if no change of the record was published since.
    pub(super) fn fill(&self, id: KeyId, stamp: Stamp, entry: Entry) {
        if self.capacity == 0 {
            return;
        }
        let filling = FILLING | self.fills.fetch_add(1, Ordering::Relaxed);
        entry.freshness.store(filling, Ordering::Relaxed);
        if self.map.insert(id, entry) {
            self.make_room(id);
        }
        // Pairs with the fence in `Lease::changed`. This thread inserts the entry and then reads
        // the stamp. A thread that publishes a change moves the stamp and then marks the entry as
        // stale. At least one of them sees what the other wrote: either this thread sees that the
        // stamp has moved, or the other finds the entry and makes the exchange below fail.
        fence(Ordering::SeqCst);
        if self.lease.stamp(&id) == stamp {
            self.map.read(&id, |entry| {
                // Fails if the entry was marked as stale in the meantime, or belongs to another
                // fill.
                let _ = entry.freshness.compare_exchange(
                    filling,
                    stamp.epoch(),
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                );
            });
        }
    }

    /// Appends a new id to the eviction order and evicts keys beyond the capacity.
    fn make_room(&self, id: KeyId) {
        let mut order = self
            .eviction_order
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        order.push_back(id);
        let mut second_chances = 0;
        while order.len() > self.capacity {
            let Some(candidate) = order.pop_front() else {
                return;
            };
            let used = self.map.read(&candidate, |entry| {
                entry.used.swap(false, Ordering::Relaxed)
            });
            if used == Some(true) && second_chances < MAX_SECOND_CHANCES {
                second_chances += 1;
                order.push_back(candidate);
            } else {
                self.map.remove(&candidate);
                meter::evicted();
            }
        }
    }

    /// Returns the number of keys in the cache.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns why [`read_fresh`](Self::read_fresh) found nothing.
    pub(super) fn miss(&self, id: &KeyId) -> CacheMiss {
        if !self.lease.vouches() {
            CacheMiss::Lapsed
        } else if self.map.read(id, |_| ()).is_some() {
            CacheMiss::Stale
        } else {
            CacheMiss::Absent
        }
    }
}

impl Watch for Cache {
    fn changed(&self, id: &KeyId) {
        self.map
            .read(id, |entry| entry.freshness.store(STALE, Ordering::SeqCst));
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
