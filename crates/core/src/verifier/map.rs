//! The concurrent map under the cache.

use foldhash::fast::RandomState;

use crate::KeyId;

/// A concurrent map by key id. A read takes no lock and writes nothing that other threads read, so
/// readers wait neither for each other nor for writers.
pub(super) struct Map<V>(papaya::HashMap<KeyId, V, RandomState>);

impl<V: Send + Sync> Map<V> {
    pub(super) fn new() -> Self {
        Self(papaya::HashMap::with_hasher(RandomState::default()))
    }

    /// Calls `read` with the value of `id`, if the map has one.
    #[inline]
    pub(super) fn read<R>(&self, id: &KeyId, read: impl FnOnce(&V) -> R) -> Option<R> {
        let guard = self.0.guard();
        self.0.get(id, &guard).map(read)
    }

    /// Inserts a value. Calls `replaced` with the value that it replaces, if `id` is not new to the
    /// map.
    pub(super) fn insert<R>(
        &self,
        id: KeyId,
        value: V,
        replaced: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        self.0.insert(id, value, &self.0.guard()).map(replaced)
    }

    /// Removes the value of `id` and calls `removed` with it, if the map has one.
    pub(super) fn remove<R>(&self, id: &KeyId, removed: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.remove(id, &self.0.guard()).map(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
