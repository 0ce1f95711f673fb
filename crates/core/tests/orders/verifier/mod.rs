//! The library's protocol and cache over a backend of one key, whose hash takes no time.

#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/cached_key.rs"]
mod cached_key;
mod map;
#[path = "../../../src/verifier/proof.rs"]
mod proof;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/protocol.rs"]
mod protocol;
#[path = "../../../src/verifier/rehash.rs"]
mod rehash;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/routes.rs"]
mod routes;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/tag_checks.rs"]
mod tag_checks;
#[path = "../../../src/verifier/token_mac.rs"]
mod token_mac;

use std::sync::Arc;

use self::{
    cache::{Cache, CacheCapacity},
    cached_key::CachedKey,
    proof::{Fingerprint, Proof},
    protocol::{Backend, PresentedToken, Protocol, RehashQueue},
    rehash::Rehash,
    token_mac::TokenMac,
};
use crate::{
    Environment, Key, KeyId, Permissions, Timestamp,
    hash::{Credential, HashError, StoredHash},
    ready::ready,
    store::{ADDRESS, Lease, Record, Store, StoreError, id},
    time,
};

/// No hash is outdated, so nothing is queued.
struct NoQueue;

impl RehashQueue<()> for NoQueue {
    fn try_push(&self, _: Rehash<()>) -> bool {
        false
    }
}

struct LoomBackend(Arc<Store>);

impl Backend for LoomBackend {
    type Secret = ();

    type Binding = ();

    async fn find(&self, _: &KeyId) -> Result<Option<Record>, StoreError> {
        Ok(Some(self.0.find()))
    }

    async fn rehash(&self, _: &KeyId, _: u64, _: &Credential) -> Result<(), StoreError> {
        unreachable!("no hash is outdated")
    }

    fn now(&self) -> Timestamp {
        time::now()
    }

    fn observe(&self, _: Timestamp) {}

    fn mac(&self, (): &()) -> TokenMac {
        TokenMac::new([0, 0])
    }

    fn fingerprint(&self, _: &Key, _: &StoredHash) -> Fingerprint {
        Fingerprint(0)
    }

    fn binding(&self, _: &Key) {}

    fn tag_matches(&self, (): &(), _: &Record, (): &()) -> Result<bool, HashError> {
        Ok(true)
    }

    fn verify_at_once(&self, (): &(), _: &Record, (): &()) -> Result<Option<bool>, HashError> {
        Ok(Some(true))
    }

    async fn verify_on_pool(
        &self,
        (): &(),
        _: &Record,
        (): (),
        _: Proof,
    ) -> Result<bool, HashError> {
        unreachable!("the hash takes no time")
    }

    fn is_current(&self, _: &Record) -> bool {
        true
    }

    fn copy_secret(&self, (): &()) {}

    async fn hash_again(&self, _: &Key, (): &()) -> Result<Credential, HashError> {
        unreachable!("no hash is outdated")
    }

    fn assume_proven(&self, _: KeyId, _: Proof) -> impl Sized {}

    fn intern(&self, _: &mut Key) {}

    fn record_use(&self, _: &Arc<CachedKey>) {}
}

pub(crate) struct Verifier(Protocol<LoomBackend>);

impl Verifier {
    /// Calls `verify` with the token of the one key.
    fn with_token<T>(&self, verify: impl FnOnce(&PresentedToken<'_>) -> T) -> T {
        verify(&PresentedToken {
            id: &id(),
            environment: Environment::Live,
            secret: &(),
            mac: None,
            address: Some(ADDRESS),
        })
    }

    pub(crate) fn new(lease: &Arc<Lease>, store: &Arc<Store>) -> Self {
        let capacity = CacheCapacity {
            keys: 1,
            bytes: usize::MAX,
        };
        let cache = Cache::new(capacity, Arc::clone(lease));
        let backend = LoomBackend(Arc::clone(store));
        Self(Protocol::new(backend, cache, Arc::clone(lease)))
    }

    /// Whether the key is accepted with all permissions according to the cache, or `None` if the
    /// cache has no fresh entry.
    pub(crate) fn verify_in_memory(&self) -> Option<bool> {
        let decided = self.with_token(|token| self.0.verify_in_memory(token, &NoQueue));
        let all = Permissions::all();
        decided.map(|decided| decided.is_ok_and(|cached| cached.key.permissions == all))
    }

    /// Whether the key is accepted according to the store.
    pub(crate) fn verify_in_store(&self) -> bool {
        self.with_token(|token| ready(self.0.verify_in_store(token, &NoQueue)).is_ok())
    }
}
