//! What the product's sources share state by, over loom's memory: threads see the writes of others as
//! late as the orders that are asked for allow.

pub(crate) use std::sync::PoisonError;
use std::{cell::Cell, panic::Location};

pub(crate) use loom::sync::{
    Mutex, RwLock,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

/// What is taken out of the sources, to show that the check would see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    FenceOfFills,
    FenceOfChanges,
    Release,
    Acquire,
}

thread_local! {
    // All threads of a model are one of the system's.
    static MISSING: Cell<Option<Missing>> = const { Cell::new(None) };
}

pub(crate) fn take_out(missing: Missing) {
    MISSING.set(Some(missing));
}

fn is_missing(missing: Missing) -> bool {
    MISSING.get() == Some(missing)
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    let source = Location::caller().file();
    let missing = (source.ends_with("cache.rs") && is_missing(Missing::FenceOfFills))
        || (source.ends_with("lease.rs") && is_missing(Missing::FenceOfChanges));
    if !missing {
        loom::sync::atomic::fence(order);
    }
}

/// Loom's, which cannot be made at compile time: made when it is first used.
pub(crate) struct AtomicU64 {
    first: u64,
    atomic: std::sync::OnceLock<loom::sync::atomic::AtomicU64>,
}

impl AtomicU64 {
    pub(crate) const fn new(first: u64) -> Self {
        Self {
            first,
            atomic: std::sync::OnceLock::new(),
        }
    }

    fn atomic(&self) -> &loom::sync::atomic::AtomicU64 {
        self.atomic
            .get_or_init(|| loom::sync::atomic::AtomicU64::new(self.first))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        let order = match order {
            Ordering::Acquire if is_missing(Missing::Acquire) => Ordering::Relaxed,
            order => order,
        };
        self.atomic().load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        let order = match order {
            Ordering::Release if is_missing(Missing::Release) => Ordering::Relaxed,
            order => order,
        };
        if order == Ordering::SeqCst {
            // Loom forgets that no store comes between what an exchange reads and what it writes,
            // and takes a store that came after both for one before the exchange; of two exchanges
            // it knows the order. So this store, by which a change is told, is made as one.
            self.atomic().swap(value, Ordering::Release);
        } else {
            self.atomic().store(value, order);
        }
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.atomic().fetch_add(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.atomic()
            .compare_exchange(current, new, success, failure)
    }
}
