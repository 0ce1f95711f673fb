//! A store in memory as a stage: both processes share it, since it lives in one.

use std::{sync::Arc, time::Duration};

use keywright_core::{KeyStore, MemoryStore};

use super::Stage;

/// Memory.
#[derive(Debug, Default)]
pub struct Memory(Arc<MemoryStore>);

impl Stage for Memory {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::clone(&self.0) as _
    }

    fn bound(&self) -> Duration {
        Duration::ZERO
    }
}
