//! What verifies tokens.

mod cache;
mod flights;
mod known;
mod map;
mod outcome;
mod parts;
mod proof;
mod rehash;
mod state;
#[cfg(test)]
mod tests;
mod token_mac;
mod upkeep;
mod uses;

use std::{fmt, sync::Arc};

pub use self::outcome::{Denied, Undecided, Verified, VerifyError};
use self::{
    cache::Entry,
    flights::Flights,
    known::Known,
    parts::Parts,
    proof::{Proof, TokenMac},
    rehash::{Claims, Rehash},
};
pub(crate) use self::{
    cache::{Cache, Miss},
    proof::ProofKey,
    rehash::Rehashing,
    state::VerifierState,
    upkeep::{Upkeep, Writing},
    uses::{Due, Uses},
};
use crate::{
    Caller, Entropy, HashError, Key, KeyId, KeyStore, Prefix, Record, Status, StoreError,
    Timestamp, TokenRef,
    hash::{Binding, Hasher},
    meter,
    store::Stamp,
    sync::Ordering,
};

/// How often a record is read again because its hash was replaced while the secret was held against it.
const ATTEMPTS: u32 = 4;

/// Verifies tokens. What was verified lately is verified again in memory, while the store's
/// [`Lease`](crate::Lease) holds for the copy of the key's record; in all other cases the store is
/// asked. So a key that was revoked is refused by every call that begins after the store's bound: at
/// once where it was revoked through this store.
///
/// Any number of clones are one verifier, with one cache.
#[derive(Clone, Debug)]
pub struct Verifier(pub(crate) Arc<VerifierState>);

/// What verifiers have in common beside the store.
pub(crate) struct Memory {
    pub(crate) cache: Arc<Cache>,
    pub(crate) uses: Arc<Uses>,
    proofs: ProofKey,
    parts: Parts,
    flights: Flights,
    claims: Claims,
}

impl Memory {
    pub(crate) fn new(cache: Arc<Cache>, uses: Arc<Uses>, proofs: ProofKey) -> Self {
        Self {
            cache,
            uses,
            proofs,
            parts: Parts::default(),
            flights: Flights::default(),
            claims: Claims::default(),
        }
    }

    /// Puts the last uses that this process knows of into keys that were read from the store.
    pub(crate) fn overlay(&self, keys: &mut [Key]) {
        // What was written meanwhile waits no more, but is known still.
        for key in &mut *keys {
            let known = self.cache.look(&key.id, |entry| entry.known.last_used_at());
            key.last_used_at = key.last_used_at.max(known.flatten());
        }
        self.uses.overlay(keys);
    }

    /// What is known of a key that was read just now: what was known before, if that is the same.
    fn known(&self, mut key: Key, version: u64) -> Arc<Known> {
        let before = self.cache.look(&key.id, |entry| Arc::clone(&entry.known));
        match before {
            Some(known) if known.is(&key, version) => known,
            before => {
                self.parts.share(&mut key);
                let new = Known::new(key, version);
                if let Some(before) = before {
                    new.follow(&before);
                }
                Arc::new(new)
            }
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("cache", &self.cache)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Verifies a token, from the cheapest check to the dearest: its form and checksum; then, in
    /// memory, the proof of its secret and whether its key is revoked or expired; then, from the
    /// store, its environment, the tag of its secret, whether its key is revoked or expired, and the
    /// hash of its secret.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Denied`] if the token opens nothing; [`VerifyError::Undecided`] if that could
    /// not be found out, which is no statement about the token.
    pub async fn verify(&self, token: &[u8]) -> Result<Verified, VerifyError> {
        let shared = &*self.0;
        let parsed = TokenRef::parse(token, &shared.prefix)
            .inspect_err(|_| meter::malformed())
            .map_err(Denied::Malformed)?;
        match self.verify_in_memory(&parsed) {
            Some(decided) => {
                meter::in_memory(&decided);
                Ok(decided?)
            }
            None => {
                meter::missed(|| shared.memory.cache.miss(parsed.id()));
                // Boxed: it is large, and rare.
                let decided = Box::pin(self.verify_in_store(&parsed)).await;
                meter::in_store(&decided);
                decided
            }
        }
    }

    /// Whether a caller's time is not over yet.
    #[must_use]
    pub fn is_current(&self, caller: &Caller) -> bool {
        caller.is_current(self.0.clock.now())
    }

    /// Returns the present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.0.prefix
    }

    pub(crate) fn store(&self) -> &dyn KeyStore {
        &*self.0.store
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.0.entropy
    }

    /// Updates `last_used_at` of keys that were read from the store with the later uses that this
    /// process has seen.
    pub(crate) fn overlay_last_uses(&self, keys: &mut [Key]) {
        self.0.memory.overlay(keys);
    }

    /// Looks at a key as it is now, by a fresh copy or by the store, whatever its status; `None` if
    /// there is none.
    pub(crate) async fn read_current<T>(
        &self,
        id: &KeyId,
        look: impl Fn(&Key) -> T,
    ) -> Result<Option<T>, StoreError> {
        let VerifierState { store, memory, .. } = &*self.0;
        match memory.cache.look_fresh(id, |entry| look(&entry.known.key)) {
            Some(seen) => Ok(Some(seen)),
            None => Ok(store.find(id).await?.map(|record| look(&record.key))),
        }
    }

    /// Decides from a fresh copy of the record, if there is one.
    #[inline]
    fn verify_in_memory(&self, token: &TokenRef<'_>) -> Option<Result<Verified, Denied>> {
        let id = token.id();
        let known = self.0.memory.cache.look_fresh(id, |entry| {
            // This fetches what the answer needs, and the MAC is computed while it is on its way.
            if entry.known.environment != token.environment() {
                return Err(Denied::Unknown(*id));
            }
            let mac = self.0.memory.proofs.mac(token.exposed_secret());
            // A key has one secret for as long as it lives.
            if !entry.proof.token.matches(mac) {
                return Err(Denied::WrongSecret(*id));
            }
            if entry.outdated.load(Ordering::Relaxed) {
                self.replace_hash(entry, token, mac);
            }
            Ok(Arc::clone(&entry.known))
        })?;
        Some(known.and_then(|known| self.accept(known)))
    }

    /// Decides from the store.
    async fn verify_in_store(&self, token: &TokenRef<'_>) -> Result<Verified, VerifyError> {
        let VerifierState {
            store,
            lease,
            hasher,
            memory,
            ..
        } = &*self.0;
        let id = token.id();
        let secret = token.exposed_secret();
        let mac = memory.proofs.mac(secret);
        let mut proven = None;
        for _ in 0..ATTEMPTS {
            let stamp = lease.stamp(id);
            let record = store.find(id).await?.ok_or(Denied::Unknown(*id))?;
            let Record {
                key, credential, ..
            } = &record;
            if key.environment != token.environment() {
                return Err(Denied::Unknown(*id).into());
            }
            let proof = Proof {
                token: mac,
                hash: memory.proofs.fingerprint(key, &credential.hash),
            };
            let mut known = proven == Some(proof.hash);
            if !known {
                let remembered = memory.cache.look(id, |entry| entry.proves(mac, proof.hash));
                known = match remembered.flatten() {
                    Some(true) => true,
                    Some(false) => return Err(Denied::WrongSecret(*id).into()),
                    None if hasher.tag_matches(credential, id, secret)? => false,
                    None => return Err(Denied::WrongSecret(*id).into()),
                };
            }
            if known {
                return Ok(self.accept(self.remember(record, stamp, proof, token))?);
            }
            // Revoked and expired keys are refused before the hash.
            self.check_active(key)?;
            let binding = || Binding::new(id, &key.workspace, key.environment);
            let at_once = hasher.proves_at_once(&credential.hash, &binding(), secret)?;
            let proves = match at_once {
                Some(proves) => proves,
                None => {
                    let question = (*id, mac, proof.hash);
                    memory
                        .flights
                        .prove(hasher, question, &credential.hash, binding(), secret)
                        .await?
                }
            };
            if !proves {
                return Err(Denied::WrongSecret(*id).into());
            }
            // A run of Argon2 may have waited for others, and the key may have been revoked meanwhile.
            if at_once.is_some() || lease.holds(id, stamp) {
                return Ok(self.accept(self.remember(record, stamp, proof, token))?);
            }
            proven = Some(proof.hash);
        }
        Err(HashError::Busy.into())
    }

    /// Takes what was read and proven into the cache.
    fn remember(
        &self,
        record: Record,
        stamp: Stamp,
        proof: Proof,
        token: &TokenRef<'_>,
    ) -> Arc<Known> {
        let Record {
            key,
            credential,
            version,
            ..
        } = record;
        let VerifierState {
            lease,
            hasher,
            memory,
            ..
        } = &*self.0;
        let id = key.id;
        let known = memory.known(key, version);
        // While the store does not vouch, a new copy would not be used either.
        let remembered = memory.cache.look(&id, |entry| {
            entry.mark_used();
            Arc::ptr_eq(&entry.known, &known) && entry.proof.hash == proof.hash
        });
        if remembered == Some(true) && !lease.vouches() {
            return known;
        }
        let outdated = !hasher.is_current(&credential.hash);
        let entry = Entry::new(proof, Arc::clone(&known), outdated);
        memory.cache.fill(id, stamp, entry);
        // Not before: what cannot be done at once is noted in the entry.
        if outdated && known.key.status(self.0.clock.now()) == Status::Active {
            let replace = |entry: &Entry| {
                // Another one may have read the record since, with its new hash.
                if Arc::ptr_eq(&entry.known, &known) && entry.proof.hash == proof.hash {
                    self.replace_hash(entry, token, proof.token);
                }
            };
            if memory.cache.look(&id, replace).is_none() {
                replace(&Entry::new(proof, Arc::clone(&known), outdated));
            }
        }
        known
    }

    /// Has a hash replaced that would not be made any more.
    #[cold]
    fn replace_hash(&self, entry: &Entry, token: &TokenRef<'_>, mac: TokenMac) {
        let Some(claim) = self.0.memory.claims.take(*token.id()) else {
            return;
        };
        // Before it is queued: whoever does it may note at once that it must be done again.
        entry.outdated.store(false, Ordering::Relaxed);
        let queued = self.0.upkeep.rehash(Rehash {
            known: Arc::clone(&entry.known),
            token: mac,
            secret: token.secret(),
            claim,
        });
        if !queued {
            entry.outdated.store(true, Ordering::Relaxed);
        }
    }

    /// The last check of a proven token, which each verification makes: whether its key opens
    /// anything now.
    #[inline]
    fn accept(&self, known: Arc<Known>) -> Result<Verified, Denied> {
        if !known.lasts {
            self.check_active(&known.key)?;
        }
        self.0.memory.uses.note(&known, self.0.clock.coarse());
        Ok(Verified(known))
    }

    fn check_active(&self, key: &Key) -> Result<(), Denied> {
        match key.status(self.0.clock.now()) {
            Status::Active => Ok(()),
            Status::Expired => Err(Denied::Expired(key.id)),
            Status::Revoked => Err(Denied::Revoked(key.id)),
        }
    }
}
