//! A map of one key with the guarantees of the library's map and no more: a thread that sees a
//! value also sees what was written to the value before it was inserted.

use std::{
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use loom::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Map<K, V> {
    /// All values that were ever inserted. Loom does not see this lock, so it imposes no order.
    values: Mutex<Vec<Arc<V>>>,
    /// The number of the current value, or 0 if there is none.
    present: AtomicUsize,
    key: PhantomData<K>,
}

impl<K, V> Map<K, V> {
    pub(super) fn new() -> Self {
        Self {
            values: Mutex::default(),
            present: AtomicUsize::new(0),
            key: PhantomData,
        }
    }

    pub(super) fn read<R>(&self, _: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        let index = self.present.load(Ordering::Acquire).checked_sub(1)?;
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let value = Arc::clone(&values[index]);
        drop(values);
        Some(read(&value))
    }

    pub(super) fn insert<R>(&self, _: K, value: V, replaced: impl FnOnce(&V) -> R) -> Option<R> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.push(Arc::new(value));
        let number = values.len();
        drop(values);
        let earlier = self.present.swap(number, Ordering::AcqRel);
        self.value(earlier).as_deref().map(replaced)
    }

    pub(super) fn remove<R>(&self, _: &K, removed: impl FnOnce(&V) -> R) -> Option<R> {
        let earlier = self.present.swap(0, Ordering::AcqRel);
        self.value(earlier).as_deref().map(removed)
    }

    /// Returns the value with this number, or `None` for 0.
    fn value(&self, number: usize) -> Option<Arc<V>> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&values[number.checked_sub(1)?]))
    }

    pub(super) fn len(&self) -> usize {
        self.present.load(Ordering::Acquire).min(1)
    }
}
