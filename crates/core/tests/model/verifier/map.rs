//! The map under the cache. As in the library, a value that is being read may have been removed.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError},
};

use shuttle::sync::{Mutex, MutexGuard};

pub(super) struct Map<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K: Eq + Hash, V> Map<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.all().get(key).cloned();
        value.as_deref().map(read)
    }

    pub(super) fn insert<R>(&self, key: K, value: V, replaced: impl FnOnce(&V) -> R) -> Option<R> {
        let earlier = self.all().insert(key, Arc::new(value));
        earlier.as_deref().map(replaced)
    }

    pub(super) fn remove<R>(&self, key: &K, removed: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.all().remove(key);
        value.as_deref().map(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }
}
