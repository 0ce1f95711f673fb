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

    /// Inserts or replaces a value. Returns whether `id` is new to the map.
    pub(super) fn insert(&self, id: KeyId, value: V) -> bool {
        self.0.insert(id, value, &self.0.guard()).is_none()
    }

    pub(super) fn remove(&self, id: &KeyId) {
        self.0.remove(id, &self.0.guard());
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
