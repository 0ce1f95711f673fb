//! The primitives that the library's sources share state with, from shuttle: each operation may
//! switch to any other thread.
//!
//! Shuttle explores schedules and not memory orders: all threads see each write at once. The test
//! `orders` covers memory orders.

pub(crate) use std::sync::PoisonError;

pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use crate::fault::{self, Fault};

/// Allows a switch to any other thread.
pub(crate) fn step() {
    // Shuttle's `sleep` does only that.
    shuttle::thread::sleep(std::time::Duration::ZERO);
}

pub(crate) fn fence(order: Ordering) {
    shuttle::sync::atomic::fence(order);
    step();
}

/// Shuttle's `AtomicU64`, with the faults that are planted here.
pub(crate) struct AtomicU64(shuttle::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(shuttle::sync::atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let value = self.0.load(order);
        if fault::skips_lease() {
            u64::MAX
        } else {
            value
        }
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        // In the cache, this value marks an entry as stale.
        if value == u64::MAX && fault::is(Fault::EntryNotMarked) {
            return;
        }
        self.0.store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        // In the cache, a relaxed addition draws the number of a fill.
        if order == Ordering::Relaxed && fault::is(Fault::FillsNotNumbered) {
            return self.0.load(order);
        }
        self.0.fetch_add(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        if fault::is(Fault::StoreInsteadOfExchange) {
            self.0.store(new, success);
            return Ok(current);
        }
        self.0.compare_exchange(current, new, success, failure)
    }
}
