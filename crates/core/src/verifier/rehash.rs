//! Replacing hashes that would not be made any more, once their secrets have been proven.

use std::{collections::HashSet, sync::Arc};

use super::{
    Memory,
    cache::Entry,
    known::Known,
    proof::{Proof, TokenMac},
};
use crate::{
    Entropy, HashError, KeyId, KeyStore, Lease,
    hash::{Binding, Hasher},
    meter,
    random::Generator,
    sync::{Mutex, Ordering, PoisonError},
    token::Secret,
};

/// A hash to be replaced.
pub(super) struct Rehash {
    pub(super) known: Arc<Known>,
    pub(super) token: TokenMac,
    pub(super) secret: Secret,
    pub(super) claim: Claim,
}

/// What it takes to replace hashes: not all that is open, which ends only once whoever replaces them has
/// ended.
pub(crate) struct Rehashing {
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) memory: Arc<Memory>,
}

/// The keys whose hashes are being replaced: each once.
#[derive(Clone, Default)]
pub(super) struct Claims(Arc<Mutex<HashSet<KeyId>>>);

/// One of them, until this is dropped.
pub(super) struct Claim {
    claims: Claims,
    id: KeyId,
}

impl Claims {
    /// `None` if somebody is at it.
    pub(super) fn take(&self, id: KeyId) -> Option<Claim> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.insert(id).then(|| Claim {
            claims: self.clone(),
            id,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.remove(&self.id);
    }
}

impl Rehash {
    /// Makes the new hash and puts it in the place of the old one. Whatever goes wrong, the old one
    /// stays, and the next verification that reads it tries again; if it was only that others were
    /// hashing, the next verification at all does.
    pub(super) async fn run(self, with: &Rehashing) {
        let Rehashing {
            store,
            lease,
            hasher,
            entropy,
            memory,
        } = with;
        let key = &self.known.key;
        let Ok(mut random) = Generator::seeded(&**entropy) else {
            return;
        };
        let salt = random.bytes();
        drop(random);
        let binding = Binding::new(&key.id, &key.workspace, key.environment);
        let made = hasher
            .credential(&key.id, binding, salt, self.secret.expose())
            .await;
        let credential = match made {
            Ok(credential) => credential,
            Err(HashError::Busy) => {
                memory.cache.look(&key.id, |entry| {
                    if entry.known.version == self.known.version {
                        entry.outdated.store(true, Ordering::Relaxed);
                    }
                });
                return;
            }
            Err(_) => return,
        };
        drop(self.secret);
        let fingerprint = memory.proofs.fingerprint(key, &credential.hash);
        // From the commit on others read the new hash, against which this token is proven.
        let _assumed = memory.flights.assume(key.id, self.token, fingerprint);
        if store
            .rehash(&key.id, self.known.version, &credential)
            .await
            .is_err()
        {
            return;
        }
        meter::rehashed();
        let stamp = lease.stamp(&key.id);
        if let Ok(Some(record)) = store.find(&key.id).await
            && memory
                .proofs
                .fingerprint(&record.key, &record.credential.hash)
                == fingerprint
        {
            let known = memory.known(record.key, record.version);
            let proof = Proof {
                token: self.token,
                hash: fingerprint,
            };
            let entry = Entry::new(proof, known, false);
            memory.cache.fill(key.id, stamp, entry);
        }
        drop(self.claim);
    }
}
