//! The verification protocol: the order in which a verification reads the lease, the cache and the
//! store, and how the cache is filled.
//!
//! Three programs compile this file: the library, the schedule model in `tests/model` and the
//! memory-order model in `tests/orders`. Each supplies its own [`Backend`].

use std::{net::IpAddr, sync::Arc};

use super::{
    cache::{Cache, Entry},
    cached_key::CachedKey,
    proof::{Fingerprint, Proof},
    rehash::{Rehash, RehashClaims},
    tag_checks::{TagCheck, TagChecks},
    token_mac::TokenMac,
};
use crate::{
    Denied, Environment, Key, KeyId, Status, Timestamp, VerifyError,
    hash::{Credential, HashError, PresentedSecret, StoredHash},
    meter,
    store::{Lease, Record, Stamp, StoreError},
    sync::Ordering,
};

/// The maximum number of times that a verification reads a record. It reads the record again if the
/// hash has changed while it checked the secret.
const MAX_ATTEMPTS: u32 = 4;

/// A parsed token that a client has presented.
pub(super) struct PresentedToken<'a> {
    pub(super) id: &'a KeyId,
    pub(super) environment: Environment,
    pub(super) secret: PresentedSecret<'a>,
    /// The MAC of the secret, if it is already known.
    pub(super) mac: Option<TokenMac>,
    /// The address of the client, if the caller of the verifier knows it.
    pub(super) address: Option<IpAddr>,
}

impl PresentedToken<'_> {
    #[inline]
    fn mac(&self, backend: &impl Backend) -> TokenMac {
        self.mac.unwrap_or_else(|| backend.mac(self.secret))
    }
}

/// The dependencies of the protocol: a store, a hasher and a clock.
pub(super) trait Backend {
    /// A copy of a presented secret.
    type Secret;

    /// The data that the hash and the tag of a key are bound to.
    type Binding;

    /// Reads a record from the store.
    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError>;

    /// Replaces the credential of a record that still has this version.
    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError>;

    /// Returns the current time, or the latest observed time if that is later.
    fn now(&self) -> Timestamp;

    /// Observes a time at which a key has expired.
    fn observe(&self, now: Timestamp);

    fn mac(&self, secret: PresentedSecret<'_>) -> TokenMac;

    fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint;

    fn binding(&self, key: &Key) -> Self::Binding;

    /// Whether the secret has the record's tag. This takes nanoseconds.
    fn tag_matches(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: &Self::Binding,
    ) -> Result<bool, HashError>;

    /// Whether a secret that has the record's tag is accepted before its hash is checked.
    fn tag_proves(&self, _record: &Record) -> bool {
        false
    }

    /// Queues the check of a secret against the record's hash, behind all runs that a caller waits
    /// for.
    fn check_later(
        &self,
        _secret: PresentedSecret<'_>,
        _record: &Record,
        _binding: &Self::Binding,
        check: TagCheck,
    ) {
        drop(check);
    }

    /// Whether the secret has the record's hash, or `None` if the hash takes too long to compute
    /// here.
    fn verify_at_once(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: &Self::Binding,
    ) -> Result<Option<bool>, HashError>;

    /// Whether the secret has the record's hash, computed on the hashing pool. `proof` is the
    /// evidence if the secret has the hash.
    async fn verify_on_pool(
        &self,
        secret: PresentedSecret<'_>,
        record: &Record,
        binding: Self::Binding,
        proof: Proof,
    ) -> Result<bool, HashError>;

    /// Whether a record's hash has the scheme and the pepper of new hashes.
    fn is_current(&self, record: &Record) -> bool;

    fn copy_secret(&self, secret: PresentedSecret<'_>) -> Self::Secret;

    /// Hashes the secret of a key with the current scheme and pepper, and a new salt.
    async fn hash_again(&self, key: &Key, secret: &Self::Secret) -> Result<Credential, HashError>;

    /// Makes [`verify_on_pool`](Self::verify_on_pool) accept a proof without a run, until the
    /// returned guard is dropped.
    fn assume_proven(&self, id: KeyId, proof: Proof) -> impl Sized;

    /// Replaces parts of a key with equal values that other keys already have.
    fn intern(&self, key: &mut Key);

    /// Records that a key was used now.
    fn record_use(&self, cached: &Arc<CachedKey>);
}

/// A bounded queue of hashes to replace.
pub(super) trait RehashQueue<S> {
    /// Queues a request. Returns `false` if the queue is full.
    fn try_push(&self, rehash: Rehash<S>) -> bool;
}

/// The protocol over a backend, with the cache that it fills.
pub(super) struct Protocol<B> {
    pub(super) backend: B,
    pub(super) cache: Arc<Cache>,
    lease: Arc<Lease>,
    claims: RehashClaims,
    tag_checks: TagChecks,
}

impl<B: Backend> Protocol<B> {
    pub(super) fn new(backend: B, cache: Arc<Cache>, lease: Arc<Lease>) -> Self {
        Self {
            backend,
            tag_checks: TagChecks::new(Arc::clone(&cache), Arc::clone(&lease)),
            cache,
            lease,
            claims: RehashClaims::default(),
        }
    }

    /// Decides from the cache, if it has a fresh entry for the key.
    #[inline]
    pub(super) fn verify_in_memory(
        &self,
        token: &PresentedToken<'_>,
        queue: &impl RehashQueue<B::Secret>,
    ) -> Option<Result<Arc<CachedKey>, Denied>> {
        let id = token.id;
        let cached = self.cache.read_fresh(id, |entry| {
            // This load fetches the key from memory while the MAC is being computed.
            if entry.cached.environment != token.environment {
                return Err(Denied::Unknown(*id));
            }
            let mac = token.mac(&self.backend);
            // The secret of a key never changes, so another secret is wrong for any hash.
            if !entry.proof.token.matches(mac) {
                return Err(Denied::WrongSecret(*id));
            }
            if entry.cached.outdated.load(Ordering::Relaxed) {
                self.queue_rehash(entry, token, queue);
            }
            Ok(Arc::clone(&entry.cached))
        })?;
        Some(cached.and_then(|cached| self.accept(cached, token.address)))
    }

    /// Decides from the store.
    ///
    /// The stamp is taken before the record is read, and compared after the entry is inserted into
    /// the cache, so that a read from before a change never becomes fresh after it.
    pub(super) async fn verify_in_store(
        &self,
        token: &PresentedToken<'_>,
        queue: &impl RehashQueue<B::Secret>,
    ) -> Result<Arc<CachedKey>, VerifyError> {
        let id = token.id;
        let mac = token.mac(&self.backend);
        let mut proven = None;
        for _ in 0..MAX_ATTEMPTS {
            let stamp = self.lease.stamp(id);
            let record = self.backend.find(id).await?.ok_or(Denied::Unknown(*id))?;
            let Record {
                key, credential, ..
            } = &record;
            if key.environment != token.environment {
                return Err(Denied::Unknown(*id).into());
            }
            let proof = Proof {
                token: mac,
                hash: self.backend.fingerprint(key, &credential.hash),
            };
            let proves = if proven == Some(proof.hash) {
                Some(true)
            } else {
                let proves = self.cache.read(id, |entry| entry.proves(mac, proof.hash));
                proves.flatten()
            };
            match proves {
                Some(true) => {
                    let cached = self.fill_cache(record, stamp, proof, token, queue);
                    return Ok(self.accept(cached, token.address)?);
                }
                Some(false) => return Err(Denied::WrongSecret(*id).into()),
                None => {}
            }
            let binding = self.backend.binding(key);
            if !self.backend.tag_matches(token.secret, &record, &binding)? {
                return Err(Denied::WrongSecret(*id).into());
            }
            // Reject revoked, expired and disabled keys before computing the hash.
            self.check_active(key)?;
            let at_once = self
                .backend
                .verify_at_once(token.secret, &record, &binding)?;
            if at_once.is_none() && self.accepts_by_tag(token, &record, &binding, proof) {
                let outdated = !self.backend.is_current(&record);
                let cached = self.cached_key(record.key, record.version);
                let entry = Entry::new(proof, Arc::clone(&cached), outdated).by_tag();
                self.cache.fill(*id, stamp, entry);
                if !self.tag_checks.is_pending(*id, proof) {
                    // The check ended before the fill, so it did not mark this entry, which would
                    // keep its hash from being replaced.
                    self.lease.changed(id);
                }
                return Ok(self.accept(cached, token.address)?);
            }
            let matches = match at_once {
                Some(matches) => matches,
                None => {
                    self.backend
                        .verify_on_pool(token.secret, &record, binding, proof)
                        .await?
                }
            };
            if !matches {
                return Err(Denied::WrongSecret(*id).into());
            }
            // The pool may have been busy for a long time, and the record may have changed in the
            // meantime. If the lease cannot rule that out, read it again.
            if at_once.is_some() || self.lease.holds(id, stamp) {
                let cached = self.fill_cache(record, stamp, proof, token, queue);
                return Ok(self.accept(cached, token.address)?);
            }
            proven = Some(proof.hash);
        }
        Err(HashError::Busy.into())
    }

    /// Whether the record's tag, which the secret has, proves the secret for now. If so, a check of
    /// the hash is queued. If the check fails, the proof is taken back.
    fn accepts_by_tag(
        &self,
        token: &PresentedToken<'_>,
        record: &Record,
        binding: &B::Binding,
        proof: Proof,
    ) -> bool {
        if !self.backend.tag_proves(record) {
            return false;
        }
        let id = record.key.id;
        if let Some(check) = self.tag_checks.begin(id, proof) {
            // If the queue is full, the check ends here.
            self.backend
                .check_later(token.secret, record, binding, check);
        }
        self.tag_checks.rely_on(id, proof)
    }

    /// Calls `read` with the key as it is now, from a fresh entry or from the store. Returns `None`
    /// if there is no such key.
    pub(super) async fn read_current<T>(
        &self,
        id: &KeyId,
        read: impl Fn(&Key) -> T,
    ) -> Result<Option<T>, StoreError> {
        match self.cache.read_fresh(id, |entry| read(&entry.cached.key)) {
            Some(value) => Ok(Some(value)),
            None => {
                let record = self.backend.find(id).await?;
                Ok(record.map(|record| read(&record.key)))
            }
        }
    }

    /// Replaces a hash that is outdated.
    ///
    /// If that fails, the old hash stays in place, and the next verification that reads it from the
    /// store tries again. If it fails only because the pool is busy, the next verification in
    /// memory also tries again.
    pub(super) async fn replace_hash(&self, rehash: Rehash<B::Secret>) {
        let Rehash {
            cached,
            token,
            secret,
            claim,
        } = rehash;
        let key = &cached.key;
        let credential = match self.backend.hash_again(key, &secret).await {
            Ok(credential) => credential,
            Err(HashError::Busy) => {
                cached.outdated.store(true, Ordering::Relaxed);
                return;
            }
            Err(_) => return,
        };
        drop(secret);
        let hash = self.backend.fingerprint(key, &credential.hash);
        let proof = Proof { token, hash };
        // From the commit on, other verifications read the new hash, for which this token is
        // already proven.
        let _assumed = self.backend.assume_proven(key.id, proof);
        let replaced = self
            .backend
            .rehash(&key.id, cached.version, &credential)
            .await;
        if replaced.is_err() {
            return;
        }
        meter::rehashed();
        let stamp = self.lease.stamp(&key.id);
        if let Ok(Some(record)) = self.backend.find(&key.id).await
            && self
                .backend
                .fingerprint(&record.key, &record.credential.hash)
                == hash
        {
            let cached = self.cached_key(record.key, record.version);
            let entry = Entry::new(proof, cached, false);
            self.cache.fill(key.id, stamp, entry);
        }
        drop(claim);
    }

    /// Fills the cache with a record that was read and a proof for its hash.
    fn fill_cache(
        &self,
        record: Record,
        stamp: Stamp,
        proof: Proof,
        token: &PresentedToken<'_>,
        queue: &impl RehashQueue<B::Secret>,
    ) -> Arc<CachedKey> {
        let outdated = !self.backend.is_current(&record);
        let cached = self.cached_key(record.key, record.version);
        let id = cached.key.id;
        let is_cached = self.cache.read(&id, |entry| {
            entry.cached.mark_used();
            Arc::ptr_eq(&entry.cached, &cached)
                && entry.proof.hash == proof.hash
                && entry.is_checked()
        });
        // While the lease does not hold, verifications would use neither this entry nor a new one.
        if is_cached == Some(true) && !self.lease.vouches() {
            return cached;
        }
        let entry = Entry::new(proof, Arc::clone(&cached), outdated);
        self.cache.fill(id, stamp, entry);
        // Queue the rehash after the fill: the new entry marks the key as outdated, and the request
        // clears that mark.
        if outdated && cached.key.status(self.backend.now()) == Status::Active {
            let queue_rehash = |entry: &Entry| {
                // Another verification may have read the record since, with its new hash.
                if Arc::ptr_eq(&entry.cached, &cached) && entry.proof.hash == proof.hash {
                    self.queue_rehash(entry, token, queue);
                }
            };
            if self.cache.read(&id, queue_rehash).is_none() {
                queue_rehash(&Entry::new(proof, Arc::clone(&cached), outdated));
            }
        }
        cached
    }

    /// Returns the cached key if it equals the key that was read, and otherwise a new cached key
    /// with its uses.
    fn cached_key(&self, mut key: Key, version: u64) -> Arc<CachedKey> {
        let cached = self.cache.read(&key.id, |entry| Arc::clone(&entry.cached));
        match cached {
            Some(cached) if cached.is_same(&key, version) => cached,
            earlier => {
                self.backend.intern(&mut key);
                let cached = CachedKey::new(key, version);
                if let Some(earlier) = earlier {
                    cached.inherit_uses(&earlier);
                }
                Arc::new(cached)
            }
        }
    }

    /// Queues the replacement of an outdated hash, unless it is already in progress. A hash that is
    /// not checked is kept: replacing it would hide that it was planted.
    #[cold]
    fn queue_rehash(
        &self,
        entry: &Entry,
        token: &PresentedToken<'_>,
        queue: &impl RehashQueue<B::Secret>,
    ) {
        if !entry.is_checked() {
            return;
        }
        let Some(claim) = self.claims.claim(*token.id) else {
            return;
        };
        // Clear the flag before the request is queued: the worker may set it again at once.
        entry.cached.outdated.store(false, Ordering::Relaxed);
        let queued = queue.try_push(Rehash {
            cached: Arc::clone(&entry.cached),
            token: entry.proof.token,
            secret: self.backend.copy_secret(token.secret),
            claim,
        });
        if !queued {
            entry.cached.outdated.store(true, Ordering::Relaxed);
        }
    }

    /// Checks whether the key of a proven token is active now and may be used from an address.
    /// Every successful verification ends with this check.
    #[inline]
    fn accept(
        &self,
        cached: Arc<CachedKey>,
        address: Option<IpAddr>,
    ) -> Result<Arc<CachedKey>, Denied> {
        if !cached.unconditional {
            self.check_active(&cached.key)?;
            check_address(&cached.key, address)?;
        }
        self.backend.record_use(&cached);
        Ok(cached)
    }

    fn check_active(&self, key: &Key) -> Result<(), Denied> {
        let now = self.backend.now();
        match key.status(now) {
            Status::Active => Ok(()),
            Status::Expired => {
                // The key stays expired if the clock is set back.
                self.backend.observe(now);
                Err(Denied::Expired(key.id))
            }
            Status::Disabled => Err(Denied::Disabled(key.id)),
            Status::Revoked => Err(Denied::Revoked(key.id)),
        }
    }
}

/// Checks whether a key may be used from an address. A key that is restricted to addresses is
/// rejected if the address is unknown.
fn check_address(key: &Key, address: Option<IpAddr>) -> Result<(), Denied> {
    let Some(allowed) = &key.allowed_ips else {
        return Ok(());
    };
    match address {
        Some(address) if allowed.contains(address) => Ok(()),
        _ => Err(Denied::AddressNotAllowed(key.id)),
    }
}
