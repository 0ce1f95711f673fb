//! The concurrent map under the cache.

use std::hash::Hash;

use foldhash::fast::RandomState;

/// A concurrent map. A read takes no lock and writes nothing that other threads read, so readers
/// wait neither for each other nor for writers.
pub(super) struct Map<K, V>(papaya::HashMap<K, V, RandomState>);

impl<K: Copy + Eq + Hash + Send + Sync, V: Send + Sync> Map<K, V> {
    pub(super) fn new() -> Self {
        Self(papaya::HashMap::with_hasher(RandomState::default()))
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
        self.0.insert(key, value, &self.0.guard()).map(replaced)
    }

    /// Removes the value of `key` and calls `removed` with it, if the map has one.
    pub(super) fn remove<R>(&self, key: &K, removed: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.remove(key, &self.0.guard()).map(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
