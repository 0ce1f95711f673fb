//! A clock and a source of randomness that a test controls.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use keywright_core::{Clock, Entropy, Timestamp, error::RandomError};

use crate::vocabulary::START;

/// A clock that moves only when it is set. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Creates a clock at [`START`].
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    /// Sets the time, in Unix milliseconds.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    /// Returns the time that was set last.
    ///
    /// # Panics
    ///
    /// If that time is before 1970 or too late for a [`Timestamp`].
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).expect("the time is in range")
    }
}

/// The initial time of a [`ManualClock`].
///
/// # Panics
///
/// Never: [`START`] is in range.
#[must_use]
pub fn start_time() -> Timestamp {
    ManualClock::new().now()
}

/// Seeds that count up, so that no two are equal and every run draws the same seeds. Clones share
/// the counter.
#[derive(Clone, Debug, Default)]
pub struct SequentialEntropy(Arc<AtomicU64>);

impl Entropy for SequentialEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        *seed = [0; 32];
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        seed[..8].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }
}
