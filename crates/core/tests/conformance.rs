//! Runs the conformance suite on the store in memory.

use std::sync::Arc;

use keywright_core::{
    EventId, KeyId, MemoryStore, conformance::Harness, conformance_tests, store::KeyStore,
};

/// A harness that returns one shared store as each handle.
#[derive(Default)]
struct InMemory(Arc<MemoryStore>);

impl Harness for InMemory {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::clone(&self.0) as Arc<dyn KeyStore>
    }

    fn damage(&self, _: &KeyId) -> bool {
        false
    }

    fn damage_event(&self, _: &EventId) -> bool {
        false
    }
}

conformance_tests!(InMemory::default());
