//! The state of a verifier.

use std::{fmt, sync::Arc};

use super::{
    Memory,
    upkeep::{Upkeep, Writing},
};
use crate::{Clock, Entropy, KeyStore, Lease, Prefix, hash::Hasher};

/// The state that all clones of a [`Verifier`](super::Verifier) share.
pub(crate) struct VerifierState {
    pub(crate) prefix: Prefix,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) upkeep: Upkeep,
    pub(crate) writing: Writing,
}

impl fmt::Debug for VerifierState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierState")
            .field("prefix", &self.prefix)
            .field("store", &self.store)
            .field("memory", &self.memory)
            .field("hasher", &self.hasher)
            .finish_non_exhaustive()
    }
}
