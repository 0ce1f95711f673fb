//! The store in memory keeps the contract.

use std::sync::Arc;

use keywright_core::{KeyId, KeyStore, MemoryStore, conformance::Harness, conformance_tests};

/// All handles are the one store.
#[derive(Default)]
struct InMemory(Arc<MemoryStore>);

impl Harness for InMemory {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::clone(&self.0) as Arc<dyn KeyStore>
    }

    fn damage(&self, _: &KeyId) -> bool {
        false
    }
}

conformance_tests!(InMemory::default());
