//! A deterministic library over memory, so that every run of an input does the same.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_assurance::{
    inputs::{ManualClock, SequentialEntropy},
    vocabulary,
};
use keywright_core::{Config, Keywright, MemoryStore, Prefix, Scheme, Timestamp};

/// The prefix of its tokens.
pub(crate) use keywright_assurance::vocabulary::PREFIX;

/// The time of its clock, which stands still.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(vocabulary::START).expect("the time is in range")
}

pub(crate) fn open(store: &Arc<MemoryStore>) -> Keywright {
    let config = Config::new(Prefix::parse(PREFIX).expect("the prefix is valid"))
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(SequentialEntropy::default())
        .with_clock(ManualClock::new());
    block_on(Keywright::open(config, Arc::clone(store) as _)).expect("the library opens")
}
