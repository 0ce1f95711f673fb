//! Last uses of keys: recorded in memory, and written to the store in the background.

use std::{
    borrow::Borrow,
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use super::{cache::CacheCapacity, cached_key::CachedKey};
use crate::{
    Key, KeyId, Timestamp,
    deadline::within,
    store::{KeyStore, StoreError, StoreErrorKind},
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError},
};

/// The shortest time between two writes of one key's last use.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// The maximum number of keys in one call to the store.
const BATCH: usize = 512;

/// The longest time that one flush takes. A flush at the end of a program may wait for another one
/// before it, so two of them fit into the time that service managers give a program to stop.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The last uses that are not written yet, one for each key.
pub(crate) struct LastUsedQueue {
    waiting: Mutex<Waiting>,
    limit: CacheCapacity,
    /// Whether the last flush of all uses failed, and no later flush has written anything.
    gave_up: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    keys: HashSet<ById>,
    /// The sum of the weights of the keys.
    bytes: usize,
    /// Whether the full queue rejected a key since the last flush.
    overflowed: bool,
}

impl Waiting {
    /// Inserts a key, in place of another version of it. Returns `false` if there is no place.
    fn insert(&mut self, cached: &Arc<CachedKey>, limit: CacheCapacity) -> bool {
        let replaced = self.keys.get(&cached.key.id);
        let (keys, bytes) = replaced.map_or((self.keys.len() + 1, self.bytes), |ById(other)| {
            (self.keys.len(), self.bytes - other.weight())
        });
        let bytes = bytes + cached.weight();
        if keys > limit.keys || bytes > limit.bytes {
            self.overflowed = true;
            return false;
        }
        self.bytes = bytes;
        self.keys.replace(ById(Arc::clone(cached)));
        true
    }

    fn remove(&mut self, id: &KeyId) {
        if let Some(ById(cached)) = self.keys.take(id) {
            self.bytes -= cached.weight();
        }
        if self.keys.is_empty() {
            // After a burst, the table may be large.
            self.keys.shrink_to_fit();
        }
    }
}

/// A key in a set, found by its id.
struct ById(Arc<CachedKey>);

impl Borrow<KeyId> for ById {
    fn borrow(&self) -> &KeyId {
        &self.0.key.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.key.id == other.0.key.id
    }
}

impl Eq for ById {}

/// Which uses a flush writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushScope {
    /// Those of keys whose last write is at least [`WRITE_INTERVAL`] old.
    Due,
    /// All.
    All,
}

impl LastUsedQueue {
    /// Creates a queue for at most this many keys and bytes.
    pub(crate) fn new(limit: CacheCapacity) -> Self {
        Self {
            waiting: Mutex::default(),
            limit,
            gave_up: AtomicBool::new(false),
        }
    }

    /// Whether a flush of all uses failed, and the store has accepted none since.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::SeqCst)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of keys that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().keys.len()
    }

    /// Records a use and queues it. If the queue is full, the use is never written, but the issuers
    /// of this process show it for as long as the key is cached.
    #[inline]
    pub(super) fn record(&self, cached: &Arc<CachedKey>, now: Timestamp) {
        cached.record_use(now);
        // This thread records the use and then reads the flag. A flush clears the flag and then
        // reads the use. So either the flush writes this use, or the key is queued again.
        if !cached.queued.load(Ordering::SeqCst) {
            self.enqueue(cached);
        }
    }

    #[cold]
    fn enqueue(&self, cached: &Arc<CachedKey>) {
        let mut waiting = self.waiting();
        if let Some(ById(other)) = waiting.keys.get(&cached.key.id) {
            // Another version of the key is queued, and a verification may still be about to
            // record a use there. Clear its flag first, so that such a use is also queued here,
            // and then take over the uses recorded so far.
            other.queued.store(false, Ordering::SeqCst);
            cached.inherit_uses(other);
        }
        if waiting.insert(cached, self.limit) {
            cached.queued.store(true, Ordering::SeqCst);
        }
    }

    /// Updates `last_used_at` of keys that were read from the store with uses that are not written
    /// yet.
    pub(crate) fn overlay(&self, keys: &mut [Key]) {
        let waiting = self.waiting();
        for key in keys {
            if let Some(ById(cached)) = waiting.keys.get(&key.id) {
                key.last_used_at = key.last_used_at.max(cached.last_used_at());
            }
        }
    }

    /// Writes the uses in `scope` within a time limit, and stops as soon as the store is
    /// unavailable. Uses that were not written stay queued.
    pub(super) async fn flush(
        &self,
        store: &dyn KeyStore,
        now: Timestamp,
        scope: FlushScope,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let keys = self.select(now, scope);
        if keys.is_empty() {
            return Ok(());
        }
        let unavailable = || StoreError::new(StoreErrorKind::Unavailable, "last uses");
        let mut done = 0;
        let written = match within(limit, self.write(store, &keys, now, &mut done)).await {
            Ok(Some(written)) => written,
            Ok(None) => {
                // The store may have written those of the last batch. Write them again.
                self.enqueue_all(keys.get(done..).unwrap_or_default());
                Err(unavailable().with_source("the store did not respond in time"))
            }
            Err(source) => Err(unavailable().with_source(source)),
        };
        if scope == FlushScope::All && written.is_err() {
            self.gave_up.store(true, Ordering::SeqCst);
        }
        written
    }

    fn enqueue_all(&self, keys: &[Arc<CachedKey>]) {
        for cached in keys {
            self.enqueue(cached);
        }
    }

    /// Writes the uses of these keys, and counts in `done` the keys that no longer need a write or
    /// are queued again.
    async fn write(
        &self,
        store: &dyn KeyStore,
        keys: &[Arc<CachedKey>],
        now: Timestamp,
        done: &mut usize,
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        for batch in keys.chunks(BATCH) {
            let uses: Vec<(KeyId, Timestamp)> = batch
                .iter()
                .filter_map(|cached| {
                    cached.queued.store(false, Ordering::SeqCst);
                    Some((cached.key.id, cached.last_used_at()?))
                })
                .collect();
            let touched = match store.touch(&uses).await {
                // No one reads the times of last use of this store any more.
                Err(error) if error.kind() == StoreErrorKind::Moved => Ok(()),
                touched => touched,
            };
            match touched {
                Ok(()) => {
                    self.gave_up.store(false, Ordering::SeqCst);
                    self.mark_written(batch, now);
                }
                Err(error) => {
                    // A concurrent flush may have removed the keys from the queue.
                    self.enqueue_all(batch);
                    let is_down = error.kind() == StoreErrorKind::Unavailable;
                    result = Err(error);
                    if is_down {
                        break;
                    }
                }
            }
            *done += batch.len();
        }
        result
    }

    /// Returns the keys to write, in the order of their ids: a store that sorts its records by id
    /// then has many keys of a batch in one page.
    fn select(&self, now: Timestamp, scope: FlushScope) -> Vec<Arc<CachedKey>> {
        let interval = i64::try_from(WRITE_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let mut waiting = self.waiting();
        // A full queue is emptied at once, so that it has room for the uses of other keys.
        let all = scope == FlushScope::All || std::mem::take(&mut waiting.overflowed);
        let is_selected = |cached: &CachedKey| {
            let written = cached.written.load(Ordering::Relaxed);
            // A clock that was set back must not keep a use from being written.
            all || !(written..written.saturating_add(interval)).contains(&now.as_millis())
        };
        let mut selected: Vec<_> = waiting
            .keys
            .iter()
            .filter(|ById(cached)| is_selected(cached))
            .map(|ById(cached)| Arc::clone(cached))
            .collect();
        drop(waiting);
        selected.sort_by_cached_key(|cached| cached.key.id);
        selected
    }

    fn mark_written(&self, batch: &[Arc<CachedKey>], now: Timestamp) {
        let mut waiting = self.waiting();
        for cached in batch {
            cached.written.store(now.as_millis(), Ordering::Relaxed);
            let used_again = cached.queued.load(Ordering::SeqCst);
            match waiting.keys.get(&cached.key.id) {
                Some(ById(other)) if !Arc::ptr_eq(other, cached) => other.inherit_uses(cached),
                Some(_) if !used_again => {
                    waiting.remove(&cached.key.id);
                }
                _ => {}
            }
        }
    }
}

impl fmt::Debug for LastUsedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastUsedQueue")
            .field("waiting", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Key, Name, Permissions, Workspace};

    fn cached(number: u32) -> Arc<CachedKey> {
        let key = Key::new(
            KeyId::parse(&format!("key_0U5lKt{number:010}")).unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse("n").unwrap(),
            Permissions::all(),
        );
        Arc::new(CachedKey::new(key, 1))
    }

    #[test]
    fn a_use_is_recorded_even_if_the_queue_is_full() {
        let queue = LastUsedQueue::new(CacheCapacity {
            keys: 2,
            bytes: usize::MAX,
        });
        let now = Timestamp::from_millis(1_709_287_200_000).unwrap();
        let keys: Vec<_> = (0..3).map(cached).collect();
        for cached in &keys {
            queue.record(cached, now);
            queue.record(cached, now);
            assert_eq!(cached.last_used_at(), Some(now));
        }
        assert_eq!(queue.len(), 2);
        // Once the others are written, there is room again.
        let store = crate::MemoryStore::new();
        pollster::block_on(queue.flush(&store, now, FlushScope::All, FLUSH_LIMIT)).unwrap();
        assert_eq!((queue.len(), queue.waiting().keys.capacity()), (0, 0));
        queue.record(&keys[2], now);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_queue_that_is_full_of_bytes_is_emptied_at_the_next_flush() {
        let keys: Vec<_> = (0..3).map(cached).collect();
        let queue = LastUsedQueue::new(CacheCapacity {
            keys: usize::MAX,
            bytes: 2 * keys[0].weight(),
        });
        let now = Timestamp::from_millis(1_709_287_200_000).unwrap();
        let store = crate::MemoryStore::new();
        let flush_due =
            || pollster::block_on(queue.flush(&store, now, FlushScope::Due, FLUSH_LIMIT)).unwrap();
        for cached in &keys[..2] {
            queue.record(cached, now);
        }
        flush_due();
        assert_eq!((queue.len(), queue.waiting().bytes), (0, 0));
        // The uses were written just now, so others are not due for a minute.
        for cached in &keys[..2] {
            queue.record(cached, now);
        }
        flush_due();
        assert_eq!(queue.len(), 2);
        // There is no room for a third key.
        queue.record(&keys[2], now);
        assert_eq!(queue.len(), 2);
        flush_due();
        assert_eq!((queue.len(), queue.waiting().bytes), (0, 0));
        queue.record(&keys[2], now);
        assert_eq!(queue.len(), 1);
    }
}
