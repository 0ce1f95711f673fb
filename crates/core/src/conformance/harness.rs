//! The interface between the suite and the store under test.

use std::sync::Arc;

use crate::{EventId, KeyId, store::KeyStore};

/// Access to a store under test. Each harness has a separate store, which is empty at first.
pub trait Harness: Sync {
    /// Opens another handle on this harness's store. The first call creates the store. A call
    /// after all handles were dropped is a restart.
    fn open(&self) -> Arc<dyn KeyStore>;

    /// Overwrites the stored record of the key `id` with data that cannot be read back, without
    /// going through the store. Returns `false` if nothing in the store can be damaged this way.
    fn damage(&self, id: &KeyId) -> bool;

    /// Overwrites the stored event `id` with data that cannot be read back, without going through
    /// the store. Returns `false` if nothing in the store can be damaged this way.
    fn damage_event(&self, id: &EventId) -> bool;

    /// Blocks until `future` completes, and returns its output. A store that needs an async
    /// runtime enters it here. The suite calls this method from many threads at once.
    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        pollster::block_on(future)
    }
}
