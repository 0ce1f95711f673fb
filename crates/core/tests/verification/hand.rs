//! A clock that is set by hand.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use keywright_core::{Clock, Timestamp};

use crate::once::Once;

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Hand(Arc<Time>);

struct Time {
    millis: AtomicI64,
    before: Once,
}

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Time {
            millis: AtomicI64::new(1_709_287_200_000),
            before: Once::default(),
        }))
    }

    pub(crate) fn millis(&self) -> i64 {
        self.0.millis.load(Ordering::SeqCst)
    }

    pub(crate) fn turn(&self, millis: i64) {
        self.0.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Has something happen before somebody is told the time.
    pub(crate) fn interrupt(&self, what: impl FnOnce() + Send + 'static) {
        self.0.before.set(what);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        self.0.before.happen();
        Timestamp::from_millis(self.millis()).unwrap()
    }
}
