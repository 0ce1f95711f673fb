//! The metrics of the model: evictions only.

use std::cell::Cell;

thread_local! {
    // Shuttle runs all threads of a model on one thread of the system.
    static EVICTED: Cell<u64> = const { Cell::new(0) };
}

#[derive(Clone, Copy)]
pub(crate) enum CacheMiss {
    Absent,
    Stale,
    Lapsed,
}

/// Sets the count to 0, for a new model.
pub(crate) fn reset() {
    EVICTED.set(0);
}

pub(crate) fn evicted() {
    EVICTED.set(EVICTED.get() + 1);
}

pub(crate) fn evictions() -> u64 {
    EVICTED.get()
}

pub(crate) const fn rehashed() {}
