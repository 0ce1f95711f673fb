//! The map under the cache.

use foldhash::fast::RandomState;

use crate::KeyId;

/// A concurrent map by id. Readers never wait, neither for each other nor for writers, and write
/// nothing that others read.
pub(super) struct Map<V>(papaya::HashMap<KeyId, V, RandomState>);

impl<V: Send + Sync> Map<V> {
    pub(super) fn new() -> Self {
        Self(papaya::HashMap::with_hasher(RandomState::default()))
    }

    /// Looks at the value of an id.
    #[inline]
    pub(super) fn look<R>(&self, id: &KeyId, look: impl FnOnce(&V) -> R) -> Option<R> {
        let guard = self.0.guard();
        self.0.get(id, &guard).map(look)
    }

    /// Whether there was none before.
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
