//! The deletion of old events.

use std::time::{Duration, Instant};

use super::last_used::FLUSH_LIMIT;
use crate::{
    Timestamp,
    deadline::within,
    store::{KeyStore, PurgeEvents, StoreErrorKind},
    time::monotonic,
};

/// The time between two searches for old events.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The time to the next search after the store has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Deletes events that are older than a retention, one step at a time.
#[derive(Debug)]
pub(crate) struct Retention {
    /// How long events are kept. `None` keeps them all.
    keep: Option<Duration>,
    next: Instant,
}

impl Retention {
    /// Zero and [`Duration::MAX`] keep all events.
    pub(crate) fn new(keep: Duration) -> Self {
        let deletes = !keep.is_zero() && keep != Duration::MAX;
        Self {
            keep: deletes.then_some(keep),
            next: monotonic(),
        }
    }

    /// Runs one step, if it is due. If a step has deleted events, the next step is due immediately.
    /// A step takes no longer than a flush of last uses, which waits for it on the same thread.
    pub(super) async fn run(&mut self, store: &dyn KeyStore, now: Timestamp) {
        let Some(keep) = self.keep.filter(|_| monotonic() >= self.next) else {
            return;
        };
        // Set first, because a panic in the store ends the step.
        self.next = monotonic() + RETRY_INTERVAL;
        let purge = PurgeEvents::new(now.saturating_sub(keep), PurgeEvents::STEP);
        let error: Box<dyn std::error::Error> =
            match within(FLUSH_LIMIT, store.purge_events(&purge)).await {
                Ok(Some(Ok(0))) => {
                    self.next = monotonic() + SEARCH_INTERVAL;
                    return;
                }
                // The other store deletes its copies of the events.
                Ok(Some(Err(error))) if error.kind() == StoreErrorKind::Moved => return,
                Ok(Some(Ok(_))) => {
                    self.next = monotonic();
                    return;
                }
                Ok(Some(Err(error))) => error.into(),
                Ok(None) => "the store did not respond in time".into(),
                Err(error) => error.into(),
            };
        tracing::warn!(error = &*error, "could not delete old events");
    }
}
