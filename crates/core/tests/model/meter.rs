//! What the product counts for its host: here only the keys that made room for others.

use std::cell::Cell;

thread_local! {
    // All threads of a model are one of the system's.
    static EVICTED: Cell<u64> = const { Cell::new(0) };
}

/// Begins to count anew, for a new model.
pub(crate) fn reset() {
    EVICTED.set(0);
}

pub(crate) fn evicted() {
    EVICTED.set(EVICTED.get() + 1);
}

pub(crate) fn evictions() -> u64 {
    EVICTED.get()
}
