//! The identity of an open library.

use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of one [`Keywright`](crate::Keywright) and its clones, unique in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InstanceId(u64);

impl InstanceId {
    /// Returns an id that no other instance of this process has.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
