//! What threads share state by, in one place: the model check compiles this crate's own sources over
//! primitives that try out every order.

pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};
