//! A clock that the test sets.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use keywright_core::{Clock, Timestamp};

use crate::hook::Hook;

/// A clock that the test sets.
#[derive(Clone)]
pub(crate) struct ManualClock(Arc<Time>);

struct Time {
    millis: AtomicI64,
    before_read: Hook,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Time {
            millis: AtomicI64::new(1_709_287_200_000),
            before_read: Hook::default(),
        }))
    }

    pub(crate) fn millis(&self) -> i64 {
        self.0.millis.load(Ordering::SeqCst)
    }

    /// Moves the clock forward, or back if `millis` is negative.
    pub(crate) fn adjust(&self, millis: i64) {
        self.0.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Runs `action` before the next read of the clock.
    pub(crate) fn before_read(&self, action: impl FnOnce() + Send + 'static) {
        self.0.before_read.set(action);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.before_read.run();
        Timestamp::from_millis(self.millis()).unwrap()
    }
}
