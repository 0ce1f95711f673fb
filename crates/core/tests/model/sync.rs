//! What the product's sources share state by, tried out in every order by shuttle: each operation is
//! a point at which any other thread may go on. Orders only: shuttle knows one memory, in which all
//! threads see all writes at once.

pub(crate) use std::sync::PoisonError;

pub(crate) use shuttle::sync::{
    Mutex, RwLock,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use crate::fault::{self, Fault};

/// A point at which any other thread may go on.
pub(crate) fn step() {
    // Shuttle's sleep is that and nothing else.
    shuttle::thread::sleep(std::time::Duration::ZERO);
}

pub(crate) fn fence(order: Ordering) {
    shuttle::sync::atomic::fence(order);
    step();
}

/// Shuttle's, but for the faults that are planted here.
pub(crate) struct AtomicU64(shuttle::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(shuttle::sync::atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let value = self.0.load(order);
        if fault::passes_over_a_lease() {
            u64::MAX
        } else {
            value
        }
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        // Of a cache's numbers this is the one by which a change is told.
        if value == u64::MAX && fault::is(Fault::EntryNotMarked) {
            return;
        }
        self.0.store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        // Those who fill a cache draw their numbers so.
        if order == Ordering::Relaxed && fault::is(Fault::FillsNotTold) {
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
        if fault::is(Fault::StoreForExchange) {
            self.0.store(new, success);
            return Ok(current);
        }
        self.0.compare_exchange(current, new, success, failure)
    }
}
