//! Verification of tokens.

mod backend;
mod cache;
mod cached_key;
mod expiry_clock;
mod foreign;
mod in_flight_hashes;
mod interner;
mod last_used;
mod map;
mod outcome;
mod proof;
mod proof_key;
mod protocol;
mod rehash;
mod retention;
mod routes;
mod state;
mod tag_checks;
#[cfg(test)]
mod tests;
mod token_mac;
mod upkeep;

use std::{io, net::IpAddr, sync::Arc};

pub use self::outcome::{Denied, Undecided, Verified, VerifyError};
pub(crate) use self::{
    backend::KeyStoreBackend, cache::CacheCapacity, last_used::LastUsedQueue, proof_key::ProofKey,
    retention::Retention,
};
use self::{last_used::FlushScope, protocol::PresentedToken, state::VerifierState};
use crate::{
    Caller, Entropy, Key, KeyId, Prefix, Timestamp, TokenRef,
    foreign::ForeignFormats,
    hash::{Hasher, PresentedSecret},
    meter::{self, VerificationOutcome},
    store::{KeyStore, StoreError},
    sync::Ordering,
    token::TokenError,
};

/// Verifies tokens.
///
/// A verified key is cached. Later verifications of it are decided in memory, for as long as the
/// store's [`Lease`](crate::store::Lease) holds for the cached record. All other verifications read
/// the store. Every call that begins after the store's bound rejects a revoked key. If the key was
/// revoked through this store, every call that begins after the acknowledgement rejects it.
///
/// Clones share one cache.
#[derive(Clone, Debug)]
pub struct Verifier(Arc<VerifierState>);

#[cfg(any(test, feature = "testing"))]
impl Verified {
    /// Creates a verified key that no instance trusts.
    pub(crate) fn without_store(key: Key) -> Self {
        Self {
            cached: Arc::new(cached_key::CachedKey::new(key, 1)),
            address: None,
            origin: crate::instance::InstanceId::unique(),
        }
    }
}

impl Verifier {
    /// Starts a verifier over a backend.
    pub(crate) fn start(
        prefix: Prefix,
        is_prefix_claimed: bool,
        backend: KeyStoreBackend,
        foreign: ForeignFormats,
        cache: CacheCapacity,
        retention: Retention,
    ) -> io::Result<Self> {
        let claimed = (prefix, is_prefix_claimed);
        let state = VerifierState::start(claimed, backend, foreign, cache, retention)?;
        Ok(Self(Arc::new(state)))
    }

    /// Verifies a token.
    ///
    /// A key that was rejected as expired stays rejected by this verifier if the clock is set back.
    ///
    /// The checks run from the cheapest to the most expensive. The first is the token's form and
    /// checksum. If the key is cached, the environment, the proof of its secret and its status
    /// follow. Otherwise, the verifier reads the store, and checks the environment, the tag of the
    /// secret, the key's status, and the hash of the secret. The last check is the client's
    /// address.
    ///
    /// This rejects every key that is restricted to addresses, because it does not know the
    /// client's address. For such keys, use [`verify_from`](Self::verify_from).
    ///
    /// # Errors
    ///
    /// [`VerifyError::Denied`] if the token is invalid, and [`VerifyError::Undecided`] if the
    /// verifier could not decide, which says nothing about the token.
    pub async fn verify(&self, token: &[u8]) -> Result<Verified, VerifyError> {
        self.verify_token(token, None).await
    }

    /// [Verifies](Self::verify) a token that a client at this address has presented. The address
    /// must come from the connection, or from a proxy that the host trusts.
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify), and [`Denied::AddressNotAllowed`] if the token is valid but
    /// its key may not be used from the address.
    pub async fn verify_from(
        &self,
        token: &[u8],
        address: IpAddr,
    ) -> Result<Verified, VerifyError> {
        self.verify_token(token, Some(address)).await
    }

    /// Verifies a token that a client at this address, or at an unknown one, has presented.
    // An `async fn` would copy `address` as a whole when often only its first byte has just been
    // written. Such a read stalls a processor for about 5 ns.
    #[expect(clippy::manual_async_fn, reason = "the arguments are used in place")]
    pub(crate) fn verify_token(
        &self,
        token: &[u8],
        address: Option<IpAddr>,
    ) -> impl Future<Output = Result<Verified, VerifyError>> {
        async move {
            let VerifierState {
                id: origin,
                prefix,
                protocol,
                upkeep,
                foreign,
                ..
            } = &*self.0;
            let origin = *origin;
            let verified = |cached| Verified {
                cached,
                address,
                origin,
            };
            let token = match TokenRef::parse(token, prefix) {
                Ok(token) => token,
                // A token with a wrong checksum is a damaged token of this library, and nothing
                // else.
                Err(malformed) if foreign.is_empty() || malformed == TokenError::Checksum => {
                    meter::verified(|| VerificationOutcome::Malformed);
                    return Err(Denied::Malformed(malformed).into());
                }
                Err(malformed) => {
                    if let Some(decided) = self.verify_foreign_in_memory(token, address) {
                        return Ok(verified(decided?));
                    }
                    // Boxed, because this future is large and rare.
                    let decided = Box::pin(self.verify_foreign_in_store(token, malformed, address));
                    return decided.await.map(verified);
                }
            };
            let token = PresentedToken {
                id: token.id(),
                environment: token.environment(),
                secret: PresentedSecret::Native(token.exposed_secret()),
                mac: None,
                address,
            };
            match protocol.verify_in_memory(&token, upkeep) {
                Some(decided) => {
                    outcome::count_in_memory(&decided);
                    Ok(verified(decided?))
                }
                None => {
                    meter::cache_missed(|| protocol.cache.miss(token.id));
                    // Boxed, because this future is large and rare.
                    let decided = Box::pin(async {
                        self.check_claim(token.id).await?;
                        protocol.verify_in_store(&token, upkeep).await
                    })
                    .await;
                    outcome::count(&decided);
                    decided.map(verified)
                }
            }
        }
    }

    /// Checks that the store is claimed for the prefix, before a record is read from it.
    ///
    /// The prefix is claimed before the first key is created. While another store is copied into
    /// this one, it is unclaimed, and its records must not be used yet.
    async fn check_claim(&self, id: &KeyId) -> Result<(), VerifyError> {
        if self.is_prefix_claimed() {
            return Ok(());
        }
        let claimed = self.store().prefix().await?;
        if claimed.as_ref() == Some(self.prefix()) {
            self.mark_prefix_claimed();
            return Ok(());
        }
        Err(Denied::Unknown(*id).into())
    }

    /// Whether a caller has not expired yet.
    #[must_use]
    pub fn is_current(&self, caller: &Caller) -> bool {
        let clock = &self.backend().expiry_clock;
        let now = clock.now();
        let is_current = caller.is_current(now);
        if !is_current {
            clock.observe(now);
        }
        is_current
    }

    /// Whether a caller is valid in this instance: a verifier of this [`Keywright`] made it, or the
    /// host did, with [`Caller::new`] or from a [`Key`].
    ///
    /// Code that takes a caller from a place that several instances share, such as the extensions
    /// of a request, must call this first, and must authenticate the request itself if it returns
    /// `false`.
    ///
    /// [`Keywright`]: crate::Keywright
    #[must_use]
    pub fn trusts(&self, caller: &Caller) -> bool {
        caller.origin().is_none_or(|origin| origin == self.0.id)
    }

    /// Whether a verifier of this [`Keywright`](crate::Keywright) verified this token.
    #[must_use]
    pub fn has_verified(&self, verified: &Verified) -> bool {
        verified.origin == self.0.id
    }

    /// Calls `read` with the key as it is now, whatever its status, from a fresh cache entry or
    /// from the store. Returns `None` if there is no such key.
    pub(crate) async fn read_current<T>(
        &self,
        id: &KeyId,
        read: impl Fn(&Key) -> T,
    ) -> Result<Option<T>, StoreError> {
        self.0.protocol.read_current(id, read).await
    }

    /// Updates `last_used_at` of keys that were read from the store with later uses in this
    /// process.
    pub(crate) fn overlay_last_uses(&self, keys: &mut [Key]) {
        // Uses that were written after the keys were read are no longer queued, but the cache
        // still has them.
        for key in &mut *keys {
            let cached = self
                .0
                .protocol
                .cache
                .read(&key.id, |entry| entry.cached.last_used_at());
            key.last_used_at = key.last_used_at.max(cached.flatten());
        }
        self.backend().last_used.overlay(keys);
    }

    /// Writes all last uses to the store.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.backend().flush_last_uses(FlushScope::All).await
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.0.prefix
    }

    /// Whether the store is known to be claimed for the prefix.
    pub(crate) fn is_prefix_claimed(&self) -> bool {
        self.0.is_prefix_claimed.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_prefix_claimed(&self) {
        self.0.is_prefix_claimed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> &dyn KeyStore {
        &*self.backend().store
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.backend().hasher
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.backend().entropy
    }

    /// Returns the current time, for creation and revocation times.
    pub(crate) fn now(&self) -> Timestamp {
        self.backend().clock.now()
    }

    /// Returns the current time, or the latest time that expiries were compared with if that is
    /// later.
    pub(crate) fn expiry_now(&self) -> Timestamp {
        self.backend().expiry_clock.observe_now()
    }

    fn backend(&self) -> &KeyStoreBackend {
        &self.0.protocol.backend
    }
}
