//! The primitives that the library's sources share state with, over loom's memory: threads see the
//! writes of other threads as late as the memory orders allow.

pub(crate) use std::sync::PoisonError;
use std::{cell::Cell, panic::Location};

pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

/// An ordering that is removed from the sources, to show that the check detects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    FenceOfFills,
    FenceOfChanges,
    Release,
    Acquire,
}

thread_local! {
    // Loom runs all threads of a model on one thread of the system.
    static MISSING: Cell<Option<Missing>> = const { Cell::new(None) };
}

pub(crate) fn remove(missing: Missing) {
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

/// Loom's `AtomicU64`, created at its first use, because loom cannot create one in a constant.
pub(crate) struct AtomicU64 {
    initial: u64,
    atomic: std::sync::OnceLock<loom::sync::atomic::AtomicU64>,
}

impl AtomicU64 {
    pub(crate) const fn new(initial: u64) -> Self {
        Self {
            initial,
            atomic: std::sync::OnceLock::new(),
        }
    }

    fn atomic(&self) -> &loom::sync::atomic::AtomicU64 {
        self.atomic
            .get_or_init(|| loom::sync::atomic::AtomicU64::new(self.initial))
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
            // This store marks an entry as stale. Loom does not know that no store comes between
            // the read and the write of an exchange, so it would order a store that came after both
            // before the exchange. It does order two exchanges, so make the store as an exchange.
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
