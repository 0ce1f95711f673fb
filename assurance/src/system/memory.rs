//! A backend in memory.

use std::{sync::Arc, time::Duration};

use keywright_core::{MemoryStore, store::KeyStore};

use super::backend::Backend;

/// A store in memory. Both processes share one handle.
#[derive(Debug, Default)]
pub struct MemoryBackend(Arc<MemoryStore>);

impl Backend for MemoryBackend {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::clone(&self.0) as _
    }

    fn staleness_bound(&self) -> Duration {
        Duration::ZERO
    }
}
