//! The time that expiries are compared with, which never goes back.

use std::sync::Arc;

use crate::{
    Clock, Timestamp,
    sync::{AtomicI64, Ordering},
};

/// A clock that is never behind a time that was observed on it, so that a key that this process has
/// seen expire stays expired if the clock is set back.
pub(crate) struct ExpiryClock {
    clock: Arc<dyn Clock>,
    /// The latest observed time, in Unix milliseconds.
    latest: AtomicI64,
}

impl ExpiryClock {
    pub(super) const fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            latest: AtomicI64::new(0),
        }
    }

    /// Returns the current time of the clock, or the latest observed time if that is later.
    ///
    /// This writes nothing, so that verifications on many threads do not contend.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        // Only the number itself is shared, so no other memory needs an order.
        let latest = Timestamp::from_millis(self.latest.load(Ordering::Relaxed));
        latest.map_or(now, |latest| latest.max(now))
    }

    /// Observes a time: [`now`](Self::now) never returns an earlier one again.
    pub(super) fn observe(&self, time: Timestamp) {
        self.latest.fetch_max(time.as_millis(), Ordering::Relaxed);
    }

    /// Returns the current time and observes it.
    pub(super) fn observe_now(&self) -> Timestamp {
        let now = self.now();
        self.observe(now);
        now
    }
}
