//! The primitives that the library's sources share state with: those of the standard library.

pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};
