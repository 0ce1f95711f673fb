//! A cache of verified keys.

use std::{collections::VecDeque, fmt, sync::Arc};

use super::{
    cached_key::CachedKey,
    map::Map,
    proof::{Fingerprint, Proof, ProofId},
    routes::{Route, Routes},
    token_mac::TokenMac,
};
use crate::{
    KeyId,
    meter::{self, CacheMiss},
    store::{Lease, Stamp, Watch},
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError, fence},
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
    map: Map<KeyId, Entry>,
    routes: Routes,
    lease: Arc<Lease>,
    capacity: CacheCapacity,
    contents: Mutex<Contents>,
    fills: AtomicU64,
}

/// The bounds of a cache. With 0 for either, nothing is cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CacheCapacity {
    pub(crate) keys: usize,
    pub(crate) bytes: usize,
}

/// The eviction order of the keys in the map, and the sum of their weights.
#[derive(Default)]
struct Contents {
    /// The ids, the next candidate for eviction first.
    order: VecDeque<KeyId>,
    /// The sum of the weights. Threads that replace the same entry may update it in another order
    /// than the map, so it may be below 0 until the last of them has.
    bytes: i64,
}

impl Contents {
    fn exceeds(&self, capacity: CacheCapacity) -> bool {
        self.order.len() > capacity.keys || self.bytes > to_i64(capacity.bytes)
    }
}

fn to_i64(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The cache's entry for one key.
pub(crate) struct Entry {
    pub(super) proof: Proof,
    pub(super) cached: Arc<CachedKey>,
    /// Whether the secret is known to have the hash. Until then, only a tag proves it.
    checked: AtomicBool,
    /// The epoch of the lease in which the record is fresh, or [`FILLING`] or [`STALE`].
    freshness: AtomicU64,
}

impl Entry {
    /// Creates an entry that is stale until it is put into a cache. `outdated` is whether the hash
    /// has another scheme or pepper than new hashes.
    pub(super) fn new(proof: Proof, cached: Arc<CachedKey>, outdated: bool) -> Self {
        cached.outdated.store(outdated, Ordering::Relaxed);
        Self {
            proof,
            cached,
            checked: AtomicBool::new(true),
            freshness: AtomicU64::new(STALE),
        }
    }

    /// Marks an entry that only a tag proves.
    pub(super) fn by_tag(self) -> Self {
        self.checked.store(false, Ordering::Relaxed);
        self
    }

    /// Whether the secret is known to have the hash.
    pub(super) fn is_checked(&self) -> bool {
        self.checked.load(Ordering::Relaxed)
    }

    /// Notes that the secret has the hash, if this is the entry's proof.
    pub(super) fn mark_checked(&self, proof: ProofId) {
        if ProofId::new(self.cached.key.id, self.proof) == proof {
            self.checked.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the approximate size of the entry and its route in bytes.
    fn weight(&self) -> usize {
        let route = self.route().map_or(0, |_| Routes::WEIGHT);
        self.cached.weight() + route
    }

    /// Returns the route to the entry. Only the token of an imported key needs one: any other
    /// contains the id.
    fn route(&self) -> Option<Route> {
        self.cached.key.imported.then_some(Route {
            id: self.cached.key.id,
            environment: self.cached.environment,
        })
    }

    /// Whether the token was verified against this hash. `None` if the entry has another hash, or
    /// is not checked.
    pub(super) fn proves(&self, token: TokenMac, hash: Fingerprint) -> Option<bool> {
        let is_proof = self.proof.hash == hash && self.is_checked();
        is_proof.then(|| self.proof.token.matches(token))
    }
}

impl Cache {
    /// Creates an empty cache.
    pub(crate) fn new(capacity: CacheCapacity, lease: Arc<Lease>) -> Arc<Self> {
        let cache = Arc::new(Self {
            map: Map::new(),
            routes: Routes::new(),
            lease: Arc::clone(&lease),
            capacity,
            contents: Mutex::default(),
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
                    entry.cached.mark_used();
                    read(entry)
                })
            })
            .flatten()
    }

    /// Calls `read` with the entry of `id`, if there is one, fresh or not.
    pub(super) fn read<R>(&self, id: &KeyId, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.map.read(id, read)
    }

    /// Returns where the key of a foreign token is, if it was verified and not evicted since.
    #[inline]
    pub(super) fn route(&self, token: TokenMac) -> Option<Route> {
        self.routes.get(token)
    }

    /// Inserts an entry whose record was read after `stamp` was taken. The entry becomes fresh only
    /// if no change of the record was published since.
    pub(super) fn fill(&self, id: KeyId, stamp: Stamp, entry: Entry) {
        if self.capacity.keys == 0 || self.capacity.bytes == 0 {
            return;
        }
        let weight = entry.weight();
        let filling = FILLING | self.fills.fetch_add(1, Ordering::Relaxed);
        entry.freshness.store(filling, Ordering::Relaxed);
        let token = entry.proof.token;
        if let Some(route) = entry.route() {
            self.routes.add(token, route);
        }
        let replaced = self.map.insert(id, entry, |earlier| {
            if !earlier.proof.token.matches(token) {
                self.remove_route(earlier);
            }
            earlier.weight()
        });
        if replaced != Some(weight) {
            self.make_room(id, weight, replaced);
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

    /// Removes the route to an entry that is no longer in the cache.
    fn remove_route(&self, entry: &Entry) {
        if let Some(route) = entry.route() {
            self.routes.remove(entry.proof.token, &route.id);
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an entry with this weight, which is new or replaces one with another weight, and
    /// evicts keys beyond the capacity.
    fn make_room(&self, id: KeyId, weight: usize, replaced: Option<usize>) {
        let mut contents = self.contents();
        contents.bytes += to_i64(weight) - to_i64(replaced.unwrap_or(0));
        if replaced.is_none() {
            contents.order.push_back(id);
        }
        let mut second_chances = 0;
        while contents.exceeds(self.capacity) {
            let Some(candidate) = contents.order.pop_front() else {
                return;
            };
            let has_chance = self
                .map
                .read(&candidate, |entry| entry.cached.take_second_chance());
            if has_chance == Some(true) && second_chances < MAX_SECOND_CHANCES {
                second_chances += 1;
                contents.order.push_back(candidate);
            } else {
                let evicted = self.map.remove(&candidate, |entry| {
                    self.remove_route(entry);
                    entry.weight()
                });
                contents.bytes -= to_i64(evicted.unwrap_or(0));
                meter::evicted();
            }
        }
    }

    /// Returns the number of keys in the cache.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns the number of foreign tokens whose keys are in the cache.
    pub(crate) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Returns about how many bytes the keys in the cache take.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.contents().bytes).unwrap_or(0)
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
            .field("bytes", &self.bytes())
            .field("routes", &self.routes())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
