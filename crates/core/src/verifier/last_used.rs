//! Last uses of keys: recorded in memory, and written to the store in the background.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashSet},
    fmt,
    hash::{Hash, Hasher},
    mem,
    ops::{Bound, RangeInclusive},
    sync::Arc,
    thread,
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
    keys: HashSet<Place>,
    /// The times at which the writes of these keys are due, in Unix milliseconds. A flush reads
    /// only those that are due: verifications need the lock.
    schedule: BTreeSet<(i64, KeyId)>,
    /// The sum of the weights of the keys.
    bytes: usize,
    /// Whether the full queue rejected a key since the last flush.
    overflowed: bool,
}

impl Waiting {
    /// Inserts a key, in place of another version of it. Returns `false` if there is no place.
    fn insert(&mut self, cached: &Arc<CachedKey>, limit: CacheCapacity) -> bool {
        let replaced = self.get(&cached.key.id);
        let keys = self.keys.len() + usize::from(replaced.is_none());
        let bytes = self.bytes - replaced.map_or(0, |other| other.weight()) + cached.weight();
        if keys > limit.keys || bytes > limit.bytes {
            self.overflowed = true;
            return false;
        }
        self.put(Arc::clone(cached));
        true
    }

    /// Puts a key, or another version of one, at its place in the schedule.
    fn put(&mut self, cached: Arc<CachedKey>) {
        self.remove(&cached.key.id);
        self.bytes += cached.weight();
        let due = after_interval(cached.written.load(Ordering::SeqCst));
        self.schedule.insert((due, cached.key.id));
        self.keys.insert(Place { cached, due });
    }

    fn get(&self, id: &KeyId) -> Option<&Arc<CachedKey>> {
        self.keys.get(id).map(|place| &place.cached)
    }

    fn remove(&mut self, id: &KeyId) {
        if let Some(Place { cached, due }) = self.keys.take(id) {
            self.schedule.remove(&(due, *id));
            self.bytes -= cached.weight();
        }
    }
}

/// A key and its time in the schedule, found by its id.
struct Place {
    cached: Arc<CachedKey>,
    due: i64,
}

impl Borrow<KeyId> for Place {
    fn borrow(&self) -> &KeyId {
        &self.cached.key.id
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cached.key.id.hash(state);
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cached.key.id == other.cached.key.id
    }
}

impl Eq for Place {}

/// Returns the time, in Unix milliseconds, that is [`WRITE_INTERVAL`] later.
fn after_interval(millis: i64) -> i64 {
    let interval = i64::try_from(WRITE_INTERVAL.as_millis()).unwrap_or(i64::MAX);
    millis.saturating_add(interval)
}

/// Which uses a flush writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        if let Some(other) = waiting.get(&cached.key.id) {
            if Arc::ptr_eq(other, cached) {
                cached.queued.store(true, Ordering::SeqCst);
                return;
            }
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
            if let Some(cached) = waiting.get(&key.id) {
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
            let taken = take_uses(batch);
            let uses: Vec<_> = taken
                .iter()
                .map(|(cached, used)| (cached.key.id, *used))
                .collect();
            let touched = match store.touch(&uses).await {
                // No one reads the times of last use of this store any more.
                Err(error) if error.kind() == StoreErrorKind::Moved => Ok(()),
                touched => touched,
            };
            match touched {
                Ok(()) => {
                    self.gave_up.store(false, Ordering::SeqCst);
                    self.mark_written(&taken, now);
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
        let now = now.as_millis();
        let mut selected = Vec::new();
        if scope == FlushScope::All {
            let mut waiting = self.waiting();
            waiting.overflowed = false;
            let keys = waiting.keys.iter().map(|place| Arc::clone(&place.cached));
            selected.extend(keys);
        } else if mem::take(&mut self.waiting().overflowed) {
            // A full queue is emptied at once, so that it has room for the uses of other keys.
            self.select_due(i64::MIN..=i64::MAX, &mut selected);
        } else {
            // A clock that was set back must not keep a use from being written.
            self.select_due(after_interval(now) + 1..=i64::MAX, &mut selected);
            self.select_due(i64::MIN..=now, &mut selected);
        }
        selected.sort_by_cached_key(|cached| cached.key.id);
        // A key that was written or replaced between two batches may be in both.
        selected.dedup_by_key(|cached| cached.key.id);
        selected
    }

    /// Adds the keys whose writes are due at these times. Releases the lock after each batch, so
    /// that verifications can take it.
    fn select_due(&self, due: RangeInclusive<i64>, selected: &mut Vec<Arc<CachedKey>>) {
        let (first, last) = due.into_inner();
        let mut from = Bound::Included((first, KeyId::SMALLEST));
        loop {
            let waiting = self.waiting();
            let batch = waiting.schedule.range((from, Bound::Unbounded));
            let batch = batch.take_while(|(due, _)| *due <= last).take(BATCH);
            let mut count = 0;
            for place in batch {
                count += 1;
                from = Bound::Excluded(*place);
                selected.extend(waiting.get(&place.1).map(Arc::clone));
            }
            drop(waiting);
            if count < BATCH {
                return;
            }
            thread::yield_now();
        }
    }

    /// Removes the keys whose uses were written from the queue, except those that were used later.
    fn mark_written(&self, uses: &[(&Arc<CachedKey>, Timestamp)], now: Timestamp) {
        let mut waiting = self.waiting();
        for (cached, used) in uses {
            let id = &cached.key.id;
            cached.written.store(now.as_millis(), Ordering::SeqCst);
            let Some(other) = waiting.get(id).map(Arc::clone) else {
                continue;
            };
            if !Arc::ptr_eq(&other, cached) {
                other.inherit_uses(cached);
            } else if !cached.queued.load(Ordering::SeqCst) && cached.last_used_at() == Some(*used)
            {
                waiting.remove(id);
                continue;
            }
            // Its next write is due later now.
            waiting.put(other);
        }
        if waiting.keys.is_empty() {
            // After a burst, the table may be large.
            waiting.keys.shrink_to_fit();
        }
    }
}

/// Returns the last uses of keys, to be written. From now on, another use queues a key again.
fn take_uses(keys: &[Arc<CachedKey>]) -> Vec<(&Arc<CachedKey>, Timestamp)> {
    keys.iter()
        .filter_map(|cached| {
            cached.queued.store(false, Ordering::SeqCst);
            Some((cached, cached.last_used_at()?))
        })
        .collect()
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
    use proptest::prelude::*;

    use super::*;
    use crate::{Environment, Key, Name, Permissions, Workspace};

    const MINUTE: i64 = 60_000;

    fn cached(number: u32) -> Arc<CachedKey> {
        version(number, 1)
    }

    fn version(number: u32, version: u64) -> Arc<CachedKey> {
        let key = Key::new(
            KeyId::parse(&format!("key_0U5lKt{number:010}")).unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse("n").unwrap(),
            Permissions::all(),
        );
        Arc::new(CachedKey::new(key, version))
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

    fn unbounded() -> LastUsedQueue {
        LastUsedQueue::new(CacheCapacity {
            keys: usize::MAX,
            bytes: usize::MAX,
        })
    }

    fn ids(keys: &[Arc<CachedKey>]) -> Vec<KeyId> {
        keys.iter().map(|cached| cached.key.id).collect()
    }

    #[test]
    fn bug_a_use_was_lost_if_another_flush_had_taken_it_and_was_dropped() {
        let queue = unbounded();
        let time = |millis: i64| Timestamp::from_millis(1_709_287_200_000 + millis).unwrap();
        let key = cached(0);
        queue.record(&key, time(0));
        let first = queue.select(time(0), FlushScope::All);
        let uses = take_uses(&first);
        queue.record(&key, time(1));
        let other = queue.select(time(1), FlushScope::All);
        drop(take_uses(&other));
        queue.mark_written(&uses, time(2));
        assert_eq!(ids(&queue.select(time(2), FlushScope::All)), [key.key.id]);
    }

    #[test]
    fn a_selection_of_several_batches_is_complete() {
        let queue = unbounded();
        let now = 1_709_287_200_000;
        let keys: Vec<_> = (0..3 * 1_024).map(cached).collect();
        for (key, index) in keys.iter().zip(0..) {
            // Many are due at the same time, and a third is not due yet.
            let written = now - MINUTE - 1 + index % 3;
            key.written.store(written, Ordering::SeqCst);
            queue.record(key, Timestamp::from_millis(now).unwrap());
        }
        let now = Timestamp::from_millis(now).unwrap();
        let due = ids(&keys).into_iter().zip(0..);
        let due = due.filter(|(_, index)| index % 3 < 2).map(|(id, _)| id);
        let due: Vec<_> = due.collect();
        assert_eq!(ids(&queue.select(now, FlushScope::Due)), due);
        assert_eq!(ids(&queue.select(now, FlushScope::All)), ids(&keys));
        queue.waiting().overflowed = true;
        assert_eq!(ids(&queue.select(now, FlushScope::Due)), ids(&keys));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Use(Use),
        /// Moves the clock.
        Pass(i64),
        /// Selects uses and writes them. A key may be used in between.
        Write(FlushScope, Option<Use>),
    }

    /// A use of a key, which may have changed since the last one.
    #[derive(Debug, Clone, Copy)]
    struct Use {
        number: u32,
        is_changed: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let uses = || {
            let uses = (0..4_u32, any::<bool>());
            uses.prop_map(|(number, is_changed)| Use { number, is_changed })
        };
        let span = prop_oneof![-MINUTE..=MINUTE, Just(1), Just(MINUTE), Just(-MINUTE - 1)];
        let scope = prop_oneof![Just(FlushScope::Due), Just(FlushScope::All)];
        let step = prop_oneof![
            4 => uses().prop_map(Step::Use),
            2 => span.prop_map(Step::Pass),
            2 => (scope, prop::option::of(uses())).prop_map(|(scope, during)| Step::Write(scope, during)),
        ];
        prop::collection::vec(step, 1..40)
    }

    /// Returns what [`LastUsedQueue::select`] returns, by reading every key.
    fn due(queue: &LastUsedQueue, now: Timestamp) -> Vec<KeyId> {
        let waiting = queue.waiting();
        let places = waiting
            .keys
            .iter()
            .map(|place| (place.due, place.cached.key.id));
        assert_eq!(places.collect::<BTreeSet<_>>(), waiting.schedule);
        let weights = waiting.keys.iter().map(|place| place.cached.weight());
        assert_eq!(weights.sum::<usize>(), waiting.bytes);
        let is_due = |cached: &CachedKey| {
            let written = cached.written.load(Ordering::SeqCst);
            !(written..written + MINUTE).contains(&now.as_millis())
        };
        let due = waiting.keys.iter().filter(|place| is_due(&place.cached));
        let mut due: Vec<_> = due.map(|place| place.cached.key.id).collect();
        due.sort_unstable();
        due
    }

    proptest! {
        #[test]
        fn a_flush_selects_exactly_the_uses_that_are_due(steps in steps()) {
            let queue = LastUsedQueue::new(CacheCapacity { keys: 3, bytes: usize::MAX });
            let mut keys: Vec<_> = (0..4).map(cached).collect();
            let mut record = |Use { number, is_changed }, now| {
                let key = &mut keys[number as usize];
                if is_changed {
                    *key = version(number, key.version + 1);
                }
                queue.record(key, now);
            };
            let mut millis = 1_709_287_200_000;
            for step in steps {
                let now = Timestamp::from_millis(millis).unwrap();
                match step {
                    Step::Use(key) => record(key, now),
                    Step::Pass(span) => millis += span,
                    Step::Write(scope, during) => {
                        let selected = queue.select(now, scope);
                        let uses = take_uses(&selected);
                        if let Some(key) = during {
                            record(key, now);
                        }
                        queue.mark_written(&uses, now);
                    }
                }
                let now = Timestamp::from_millis(millis).unwrap();
                let expected = due(&queue, now);
                let overflowed = mem::take(&mut queue.waiting().overflowed);
                let selected = queue.select(now, FlushScope::Due);
                queue.waiting().overflowed = overflowed;
                prop_assert_eq!(ids(&selected), expected);
            }
        }
    }
}
