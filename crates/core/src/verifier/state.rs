//! The state of a verifier, and its start.

use std::{fmt, io, sync::Arc};

use super::{
    backend::KeyStoreBackend,
    cache::{Cache, CacheCapacity},
    protocol::Protocol,
    retention::Retention,
    upkeep::Upkeep,
};
use crate::{
    Prefix,
    foreign::ForeignFormats,
    instance::InstanceId,
    meter::{Instance, InstanceState},
    sync::AtomicBool,
};

/// The state that all clones of a [`Verifier`](super::Verifier) share.
pub(crate) struct VerifierState {
    pub(super) id: InstanceId,
    pub(super) prefix: Prefix,
    /// Whether the store is known to be claimed for the prefix.
    pub(super) is_prefix_claimed: AtomicBool,
    pub(super) protocol: Arc<Protocol<KeyStoreBackend>>,
    pub(super) upkeep: Upkeep,
    pub(super) foreign: ForeignFormats,
}

impl VerifierState {
    /// Starts background work over a backend.
    pub(super) fn start(
        (prefix, is_prefix_claimed): (Prefix, bool),
        backend: KeyStoreBackend,
        foreign: ForeignFormats,
        cache: CacheCapacity,
        retention: Retention,
    ) -> io::Result<Self> {
        let lease = backend.store.lease();
        let cache = Cache::new(cache, Arc::clone(&lease));
        let instance = Instance::open({
            let (cache, lease) = (Arc::clone(&cache), Arc::clone(&lease));
            let last_used = Arc::clone(&backend.last_used);
            let hashes = backend.hasher.queue().clone();
            move || InstanceState {
                cached_keys: cache.len(),
                cached_bytes: cache.bytes(),
                waiting_verifications: hashes.waiting_verifications(),
                waiting_new_hashes: hashes.waiting_new_hashes(),
                waiting_checks: hashes.waiting_checks(),
                last_uses_waiting: last_used.len(),
                lease_holds: lease.vouches(),
                lease_remaining: lease.remaining(),
            }
        });
        let protocol = Arc::new(Protocol::new(backend, cache, lease));
        Ok(Self {
            id: InstanceId::unique(),
            prefix,
            is_prefix_claimed: AtomicBool::new(is_prefix_claimed),
            upkeep: Upkeep::start(Arc::clone(&protocol), instance, retention)?,
            protocol,
            foreign,
        })
    }
}

impl fmt::Debug for VerifierState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierState")
            .field("prefix", &self.prefix)
            .field("is_prefix_claimed", &self.is_prefix_claimed)
            .field("foreign", &self.foreign)
            .field("cache", &self.protocol.cache)
            .field("backend", &self.protocol.backend)
            .field("upkeep", &self.upkeep)
            .finish()
    }
}
