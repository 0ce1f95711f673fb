//! A map of one id that promises no more than the product's: whoever sees a value sees what was
//! written to it before it was put in.

use std::sync::{Arc, Mutex, PoisonError};

use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::KeyId;

pub(super) struct Map<V> {
    /// All values that there ever were. Loom does not see this lock: it orders nothing.
    values: Mutex<Vec<Arc<V>>>,
    /// The number of the one that is in; 0 for none.
    present: AtomicUsize,
}

impl<V> Map<V> {
    pub(super) fn new() -> Self {
        Self {
            values: Mutex::default(),
            present: AtomicUsize::new(0),
        }
    }

    pub(super) fn look<R>(&self, _: &KeyId, look: impl FnOnce(&V) -> R) -> Option<R> {
        let index = self.present.load(Ordering::Acquire).checked_sub(1)?;
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let value = Arc::clone(&values[index]);
        drop(values);
        Some(look(&value))
    }

    pub(super) fn insert(&self, _: KeyId, value: V) -> bool {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.push(Arc::new(value));
        let number = values.len();
        drop(values);
        self.present.swap(number, Ordering::AcqRel) == 0
    }

    pub(super) fn remove(&self, _: &KeyId) {
        self.present.swap(0, Ordering::AcqRel);
    }

    pub(super) fn len(&self) -> usize {
        self.present.load(Ordering::Acquire).min(1)
    }
}
