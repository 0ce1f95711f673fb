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

    pub(super) fn insert(&self, id: KeyId, value: V) -> bool {
        self.all().insert(id, Arc::new(value)).is_none()
    }

    pub(super) fn remove(&self, id: &KeyId) {
        self.all().remove(id);
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }
}
