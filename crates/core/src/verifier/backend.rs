//! The library's backend of the protocol: a [`KeyStore`], the hasher and the clock.

use std::{fmt, sync::Arc};

use super::{
    cached_key::CachedKey,
    expiry_clock::ExpiryClock,
    in_flight_hashes::InFlightHashes,
    interner::Interner,
    last_used::{FLUSH_LIMIT, FlushScope, LastUsedQueue},
    proof::{Fingerprint, Proof},
    proof_key::ProofKey,
    protocol::Backend,
    tag_checks::TagCheck,
    token_mac::TokenMac,
};
use crate::{
    Clock, Entropy, Key, KeyId, Timestamp,
    hash::{Binding, Credential, HashError, Hasher, PresentedSecret, StoredHash},
    meter,
    random::Generator,
    store::{KeyStore, Record, StoreError},
    token::Secret,
};

/// A store, and everything else except the cache that the verifier of a
/// [`Keywright`](crate::Keywright) uses.
pub(crate) struct KeyStoreBackend {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) hasher: Hasher,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) expiry_clock: ExpiryClock,
    pub(super) last_used: Arc<LastUsedQueue>,
    proof_key: ProofKey,
    interner: Interner,
    in_flight: InFlightHashes,
}

impl KeyStoreBackend {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        hasher: Hasher,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
        last_used: LastUsedQueue,
        proof_key: ProofKey,
    ) -> Self {
        Self {
            store,
            hasher,
            entropy,
            expiry_clock: ExpiryClock::new(Arc::clone(&clock)),
            clock,
            last_used: Arc::new(last_used),
            proof_key,
            interner: Interner::default(),
            in_flight: InFlightHashes::default(),
        }
    }

    /// Writes last uses to the store.
    pub(super) async fn flush_last_uses(&self, scope: FlushScope) -> Result<(), StoreError> {
        self.last_used
            .flush(&*self.store, self.clock.now(), scope, FLUSH_LIMIT)
            .await
    }
}

impl Backend for KeyStoreBackend {
    type Secret = Secret;

    type Binding = Binding;

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.store.find(id).await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.store.rehash(id, version, credential).await
    }

    fn now(&self) -> Timestamp {
        self.expiry_clock.now()
    }

    fn observe(&self, now: Timestamp) {
        self.expiry_clock.observe(now);
    }

    #[inline]
    fn mac(&self, secret: PresentedSecret<'_>) -> TokenMac {
        self.proof_key.mac(secret)
    }

    fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint {
        self.proof_key.fingerprint(key, hash)
    }

    fn binding(&self, key: &Key) -> Binding {
        Binding::new(&key.id, &key.workspace, key.environment)
    }

    fn tag_matches(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: &Binding,
    ) -> Result<bool, HashError> {
        // An imported key has one token, the foreign one, and no other key has a foreign token.
        let is_foreign = matches!(secret, PresentedSecret::Foreign(_));
        if is_foreign != record.alias.is_some() {
            return Ok(false);
        }
        self.hasher.tag_matches(&record.credential, binding, secret)
    }

    fn tag_proves(&self, record: &Record) -> bool {
        self.hasher.tag_proves(&record.credential.hash)
    }

    fn check_later(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: &Binding,
        check: TagCheck,
    ) {
        let id = check.id();
        let done = move |result: Result<bool, HashError>| {
            let is_refuted = matches!(result, Ok(false));
            let is_failed = matches!(result, Err(HashError::Failed(_)));
            check.complete(result);
            if is_refuted {
                meter::tag_refuted();
                tracing::error!(
                    key = %id,
                    "the tag of a key matches and its hash does not: the record was changed"
                );
            }
            if is_failed {
                tracing::warn!(
                    key = %id,
                    "the hash of a key could not be checked: its tag is no longer trusted"
                );
            }
        };
        // Without a run, the check is dropped, which ends it.
        let _ = self
            .hasher
            .check(&record.credential.hash, binding.clone(), secret, done);
    }

    fn verify_at_once(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: &Binding,
    ) -> Result<Option<bool>, HashError> {
        self.hasher
            .verify_at_once(&record.credential.hash, binding, secret)
    }

    async fn verify_on_pool(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: Binding,
        proof: Proof,
    ) -> Result<bool, HashError> {
        let run = (record.key.id, proof);
        let hash = &record.credential.hash;
        self.in_flight
            .verify(&self.hasher, run, hash, binding, secret)
            .await
    }

    fn is_current(&self, record: &Record) -> bool {
        self.hasher.is_current(&record.credential.hash)
    }

    fn copy_secret(&self, secret: PresentedSecret<'_>) -> Secret {
        secret.with_native(Secret::copied)
    }

    async fn hash_again(&self, key: &Key, secret: &Secret) -> Result<Credential, HashError> {
        let mut random = Generator::seeded(&*self.entropy).map_err(HashError::failed)?;
        let salt = random.bytes();
        drop(random);
        self.hasher
            .credential(self.binding(key), salt, secret.expose())
            .await
    }

    fn assume_proven(&self, id: KeyId, proof: Proof) -> impl Sized {
        self.in_flight.assume_proven(id, proof)
    }

    fn intern(&self, key: &mut Key) {
        self.interner.intern(key);
    }

    #[inline]
    fn record_use(&self, cached: &Arc<CachedKey>) {
        self.last_used.record(cached, self.clock.coarse());
    }
}

impl fmt::Debug for KeyStoreBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStoreBackend")
            .field("store", &self.store)
            .field("hasher", &self.hasher)
            .field("last_used", &self.last_used)
            .finish_non_exhaustive()
    }
}
