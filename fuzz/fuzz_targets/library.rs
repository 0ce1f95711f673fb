//! A library over memory in which nothing is left to chance: every run of an input is the same.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_executor::block_on;
use keywright_core::{
    Clock, Config, Entropy, Keywright, MemoryStore, Prefix, RandomError, Scheme, Timestamp,
};

/// What its tokens begin with.
pub(crate) const PREFIX: &str = "acme";

/// The time at which its clock stands, in Unix milliseconds.
const NOW: i64 = 1_709_287_200_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(NOW).expect("a time")
}

pub(crate) fn open(store: &Arc<MemoryStore>) -> Keywright {
    let config = Config::new(Prefix::parse(PREFIX).expect("a prefix"))
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(Counter(AtomicU64::new(0)))
        .with_clock(Stopped);
    block_on(Keywright::open(config, Arc::clone(store) as _)).expect("a library")
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        now()
    }
}

struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        *seed = [0; 32];
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        seed[..8].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }
}
