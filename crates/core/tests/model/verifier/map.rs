//! The map under the cache. As in the library, a value that is being read may have been removed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use shuttle::sync::{Mutex, MutexGuard};

use crate::KeyId;

pub(super) struct Map<V>(Mutex<HashMap<KeyId, Arc<V>>>);

impl<V> Map<V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<KeyId, Arc<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<R>(&self, id: &KeyId, read: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.all().get(id).cloned();
        value.as_deref().map(read)
    }

    pub(super) fn insert<R>(
        &self,
        id: KeyId,
        value: V,
        replaced: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        let earlier = self.all().insert(id, Arc::new(value));
        earlier.as_deref().map(replaced)
    }

    pub(super) fn remove<R>(&self, id: &KeyId, removed: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.all().remove(id);
        value.as_deref().map(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }
}
