//! The synchronisation primitives of this crate. The model tests compile this crate's sources over
//! other primitives with the same names.

pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};
