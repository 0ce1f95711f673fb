//! A process that has the store open.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_core::{Argon2Params, Config, Keywright, Scheme, store::KeyStore};

use super::{backend::Backend, convert::prefix};
use crate::{
    inputs::{ManualClock, SequentialEntropy},
    vocabulary::{MAX_LIFETIME, duration},
};

/// A process: the library over its own handle, with its own cache.
pub(super) struct Process {
    /// `None` while the process restarts.
    open: Option<Open>,
    /// Whether the other process has made changes that this one may not have seen yet.
    pub(super) behind: bool,
}

struct Open {
    keys: Keywright,
    store: Arc<dyn KeyStore>,
}

impl Process {
    pub(super) fn start(
        backend: &impl Backend,
        clock: &ManualClock,
        entropy: &SequentialEntropy,
    ) -> Self {
        Self {
            open: Some(Open::new(backend, clock, entropy, false, false)),
            behind: false,
        }
    }

    pub(super) fn stop(&mut self) {
        self.open = None;
    }

    pub(super) fn restart(
        &mut self,
        backend: &impl Backend,
        clock: &ManualClock,
        entropy: &SequentialEntropy,
        argon2: bool,
        limited: bool,
    ) {
        self.open = Some(Open::new(backend, clock, entropy, argon2, limited));
    }

    fn open(&self) -> &Open {
        self.open.as_ref().expect("the process is running")
    }

    pub(super) fn store(&self) -> &dyn KeyStore {
        &*self.open().store
    }

    pub(super) fn keys(&self) -> &Keywright {
        &self.open().keys
    }
}

impl Open {
    fn new(
        backend: &impl Backend,
        clock: &ManualClock,
        entropy: &SequentialEntropy,
        argon2: bool,
        limited: bool,
    ) -> Self {
        let mut config = Config::new(prefix())
            .with_clock(clock.clone())
            // Sequences delete events explicitly.
            .with_event_retention(Duration::MAX)
            .with_entropy(entropy.clone());
        config = if argon2 {
            // The cheapest parameters that Argon2 accepts, and a cache so small that it evicts
            // keys.
            let cheapest = Argon2Params::new(8, 1, 1).expect("the parameters are valid");
            config.with_scheme(Scheme::Argon2id(cheapest)).with_cache(2)
        } else {
            config.with_scheme(Scheme::HmacSha256)
        };
        if limited {
            config = config.with_max_lifetime(duration(MAX_LIFETIME));
        }
        let store = backend.open();
        let keys =
            block_on(Keywright::open(config, Arc::clone(&store))).expect("the library opens");
        Self { keys, store }
    }
}
