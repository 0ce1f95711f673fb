//! The concurrent map under the cache.

use std::hash::Hash;

use foldhash::fast::RandomState;
use papaya::{Guard as _, ResizeMode};

/// The number of entries that an insertion copies to a larger table, which takes about 10
/// microseconds. Until all are copied, the map has two tables, and reads may look into both.
const COPIES: usize = 512;

/// The number of new keys after which an insertion frees what its thread has retired.
///
/// Otherwise, a thread waits until it has retired 32 allocations. In a map that only grows, these
/// are the tables that it has outgrown, and they take as much memory as its table.
const FLUSH_INTERVAL: usize = 1024;

/// A concurrent map. A read takes no lock and writes nothing that other threads read, so readers
/// wait neither for each other nor for writers.
pub(super) struct Map<K, V>(papaya::HashMap<K, V, RandomState>);

impl<K: Copy + Eq + Hash + Send + Sync, V: Send + Sync> Map<K, V> {
    pub(super) fn new() -> Self {
        let map = papaya::HashMap::builder()
            .hasher(RandomState::default())
            .resize_mode(ResizeMode::Incremental(COPIES))
            .build();
        Self(map)
    }

    /// Calls `read` with the value of `key`, if the map has one.
    #[inline]
    pub(super) fn read<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        let guard = self.0.guard();
        self.0.get(key, &guard).map(read)
    }

    /// Inserts a value. Calls `replaced` with the value that it replaces, if `key` is not new to
    /// the map.
    pub(super) fn insert<R>(&self, key: K, value: V, replaced: impl FnOnce(&V) -> R) -> Option<R> {
        let guard = self.0.guard();
        let replaced = self.0.insert(key, value, &guard).map(replaced);
        if replaced.is_none() && self.0.len().is_multiple_of(FLUSH_INTERVAL) {
            guard.flush();
        }
        replaced
    }

    /// Removes the value of `key` and calls `removed` with it, if the map has one.
    pub(super) fn remove<R>(&self, key: &K, removed: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.remove(key, &self.0.guard()).map(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
