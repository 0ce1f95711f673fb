//! The source of the store under test.

use std::{sync::Arc, time::Duration};

use keywright_core::store::KeyStore;

/// A store that several processes can open.
pub trait Backend {
    /// Opens another handle to the store, as another process does. A store that exists only within
    /// one process returns the same handle again.
    fn open(&self) -> Arc<dyn KeyStore>;

    /// How long another handle may act on old data after a change is acknowledged.
    fn staleness_bound(&self) -> Duration;
}
