//! A deterministic library over memory, so that every run of an input gives the same result. Its
//! clock stands still at the start time.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_assurance::inputs::{ManualClock, SequentialEntropy};
use keywright_core::{Config, Keywright, MemoryStore, Prefix, Scheme};

/// The prefix of its tokens.
pub(crate) use keywright_assurance::vocabulary::PREFIX;

/// Returns the configuration.
pub(crate) fn config() -> Config {
    Config::new(Prefix::parse(PREFIX).expect("the prefix is valid"))
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(SequentialEntropy::default())
        .with_clock(ManualClock::new())
}

/// Opens a library with a configuration.
pub(crate) fn open(config: Config, store: &Arc<MemoryStore>) -> Keywright {
    block_on(Keywright::open(config, Arc::clone(store) as _)).expect("the library opens")
}
