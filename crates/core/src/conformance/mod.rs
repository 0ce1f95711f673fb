//! The conformance suite: one function for each clause of the contract of
//! [`KeyStore`].

use std::sync::Arc;

use crate::{KeyId, KeyStore};

/// What the suite needs of a store that is tried: a fresh, empty store for each harness.
pub trait Harness: Sync {
    /// Opens one more handle on this harness's store. The first call makes the store; a call after
    /// all handles were dropped is a restart.
    fn open(&self) -> Arc<dyn KeyStore>;

    /// Overwrites the stored record of a key, behind the store's back, with something that cannot
    /// be read back. `false` where a store has nothing that could be damaged so.
    fn damage(&self, id: &KeyId) -> bool;

    /// Waits for a future. A store that needs an async runtime enters it here; the suite calls this
    /// from many threads at once.
    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        futures_executor::block_on(future)
    }
}
