//! Hashing and verification with every scheme and every pepper.

use std::{collections::BTreeMap, fmt, io, sync::Arc};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    argon2id::{self, Blocks},
    binding::Binding,
    credential::Credential,
    hmac_sha256::KeyedHmac,
    pepper::{Pepper, PepperId, PepperRing},
    pool::{HashQueue, Pool, PoolError},
    presented::PresentedSecret,
    run_queue::Purpose,
    stored::{NativeHash, Scheme, StoredHash},
};
use crate::{
    sync::{AtomicU64, Ordering},
    token::Secret,
};

/// Creates credentials with the configured scheme and the newest pepper, and verifies credentials
/// with any scheme and pepper. Argon2 runs on a pool of threads.
pub(crate) struct Hasher {
    scheme: Scheme,
    newest: Option<PepperId>,
    keys: BTreeMap<Option<PepperId>, HashKey>,
    verifies_by_tag: bool,
    runs: Arc<AtomicU64>,
    pool: Pool,
}

/// A run on the pool: whether a secret has a hash.
type Verification = dyn FnOnce(&mut Blocks) -> Result<bool, HashError> + Send;

/// The keys for one pepper, or for hashes without a pepper.
struct HashKey {
    pepper: Option<Arc<Pepper>>,
    mac: KeyedHmac,
}

#[cfg(test)]
crate::secrecy::assert_secret!(HashKey);

impl HashKey {
    fn new(pepper: Option<Arc<Pepper>>) -> Self {
        let mac = KeyedHmac::new(pepper.as_deref().map(Pepper::key));
        Self { pepper, mac }
    }
}

impl Hasher {
    /// Starts the pool. With places for checks, tags prove secrets until their hashes are checked.
    pub(crate) fn start(
        scheme: Scheme,
        ring: &PepperRing,
        queue: usize,
        checks: usize,
        niceness: u8,
    ) -> io::Result<Self> {
        let peppered = ring.iter().map(|pepper| {
            (
                Some(pepper.id().clone()),
                HashKey::new(Some(Arc::clone(pepper))),
            )
        });
        Ok(Self {
            scheme,
            newest: ring.newest().cloned(),
            keys: peppered.chain([(None, HashKey::new(None))]).collect(),
            verifies_by_tag: checks > 0,
            runs: Arc::default(),
            pool: Pool::start(queue, checks, niceness)?,
        })
    }

    /// Returns the queue of the pool.
    pub(crate) const fn queue(&self) -> &HashQueue {
        self.pool.queue()
    }

    /// Returns the number of Argon2 runs started.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    fn key(&self, pepper: &Option<PepperId>) -> Result<&HashKey, HashError> {
        self.keys.get(pepper).ok_or(HashError::UnknownPepper)
    }

    /// Creates the hash and the tag of a secret.
    pub(crate) async fn credential(
        &self,
        binding: Binding,
        salt: [u8; NativeHash::SALT_LENGTH],
        secret: &[u8; Secret::LENGTH],
    ) -> Result<Credential, HashError> {
        let key = self.key(&self.newest)?;
        let tag = key.mac.tag(&binding, secret);
        let output = self.run(self.scheme, key, binding, salt, secret).await?;
        let hash = NativeHash {
            scheme: self.scheme,
            pepper: self.newest.clone(),
            salt,
            output,
        };
        Ok(Credential::new(StoredHash::Native(hash), tag))
    }

    /// Whether the secret has the credential's tag. This takes nanoseconds, so check it before the
    /// hash. A foreign hash has no tag: a digest is compared instead, and a password hash matches.
    pub(crate) fn tag_matches(
        &self,
        credential: &Credential,
        binding: &Binding,
        secret: PresentedSecret<'_>,
    ) -> Result<bool, HashError> {
        match (&credential.hash, secret) {
            (StoredHash::Native(hash), secret) => {
                let key = self.key(&hash.pepper)?;
                let tag = secret.with_native(|secret| key.mac.tag(binding, secret));
                Ok(tag.matches(&credential.tag))
            }
            (StoredHash::Foreign(hash), PresentedSecret::Foreign(token)) => {
                Ok(hash.verify_at_once(token.hashed_part()).unwrap_or(true))
            }
            (StoredHash::Foreign(_), PresentedSecret::Native(_)) => Ok(false),
        }
    }

    /// Whether a tag that matches proves the secret of this hash before the hash is checked.
    ///
    /// Only a pepper makes a tag a proof: without one, a writer of the database can compute the tag
    /// of any secret. The tag was compared under the pepper that the hash names, so the ring has
    /// that pepper.
    pub(crate) const fn tag_proves(&self, hash: &StoredHash) -> bool {
        let StoredHash::Native(hash) = hash else {
            return false;
        };
        self.verifies_by_tag && hash.pepper.is_some() && matches!(hash.scheme, Scheme::Argon2id(_))
    }

    /// Whether a hash has the scheme and the pepper of new hashes.
    pub(crate) fn is_current(&self, hash: &StoredHash) -> bool {
        match hash {
            StoredHash::Native(hash) => hash.scheme == self.scheme && hash.pepper == self.newest,
            StoredHash::Foreign(_) => false,
        }
    }

    /// Whether the secret has this hash, or `None` for Argon2 and other hashes that take too long
    /// to compute here.
    pub(crate) fn verify_at_once(
        &self,
        hash: &StoredHash,
        binding: &Binding,
        secret: PresentedSecret<'_>,
    ) -> Result<Option<bool>, HashError> {
        match (hash, secret) {
            (StoredHash::Native(hash), secret) => {
                let key = self.key(&hash.pepper)?;
                Ok(match hash.scheme {
                    Scheme::HmacSha256 => {
                        let output =
                            secret.with_native(|secret| key.mac.hash(binding, &hash.salt, secret));
                        Some(output.ct_eq(&hash.output).into())
                    }
                    Scheme::Argon2id(_) => None,
                })
            }
            (StoredHash::Foreign(hash), PresentedSecret::Foreign(token)) => {
                Ok(hash.verify_at_once(token.hashed_part()))
            }
            (StoredHash::Foreign(_), PresentedSecret::Native(_)) => Ok(Some(false)),
        }
    }

    /// Verifies the secret against a hash on the pool, then calls `done`, even if the pool is too
    /// busy. If `is_wanted` returns `false` when a thread takes the job, `done` is dropped without
    /// a run.
    pub(crate) fn submit(
        &self,
        hash: &StoredHash,
        binding: Binding,
        secret: PresentedSecret<'_>,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
        done: impl FnOnce(Result<bool, HashError>) + Send + 'static,
    ) -> Result<(), HashError> {
        if let Some(matches) = self.verify_at_once(hash, &binding, secret)? {
            done(Ok(matches));
            return Ok(());
        }
        self.queue_run(
            Purpose::Verification,
            (hash, binding),
            secret,
            is_wanted,
            done,
        )
    }

    /// Checks the secret against a hash on the pool, behind all other runs, then calls `done`, even
    /// if there are too many checks. At the end of the pool, `done` is dropped without a run.
    pub(crate) fn check(
        &self,
        hash: &StoredHash,
        binding: Binding,
        secret: PresentedSecret<'_>,
        done: impl FnOnce(Result<bool, HashError>) + Send + 'static,
    ) -> Result<(), HashError> {
        self.queue_run(Purpose::Check, (hash, binding), secret, || true, done)
    }

    fn queue_run(
        &self,
        purpose: Purpose,
        (hash, binding): (&StoredHash, Binding),
        secret: PresentedSecret<'_>,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
        done: impl FnOnce(Result<bool, HashError>) + Send + 'static,
    ) -> Result<(), HashError> {
        let workspace = binding.workspace().clone();
        let verify = self.verification(hash, binding, secret)?;
        let runs = Arc::clone(&self.runs);
        let job = Box::new(move |blocks: Result<&mut Blocks, PoolError>| {
            let blocks = match blocks {
                Ok(blocks) if is_wanted() => blocks,
                Ok(_) => return,
                Err(error) => return done(Err(error.into())),
            };
            runs.fetch_add(1, Ordering::Relaxed);
            done(verify(blocks));
        });
        self.pool.submit(purpose, &workspace, job);
        Ok(())
    }

    /// Returns the run that verifies a secret against a hash. The run keeps a copy of the secret
    /// until it ends.
    fn verification(
        &self,
        hash: &StoredHash,
        binding: Binding,
        secret: PresentedSecret<'_>,
    ) -> Result<Box<Verification>, HashError> {
        Ok(match (hash, secret) {
            (StoredHash::Native(hash), secret) => {
                let Scheme::Argon2id(cost) = hash.scheme else {
                    return Err(HashError::failed("not an Argon2 hash"));
                };
                let pepper = self.key(&hash.pepper)?.pepper.clone();
                let secret = secret.with_native(Secret::copied);
                let (salt, expected) = (hash.salt, hash.output);
                Box::new(move |blocks| {
                    let pepper = pepper.as_deref().map(Pepper::key);
                    let output = argon2id::hash(cost, pepper, &binding, &salt, &secret, blocks);
                    drop(secret);
                    output
                        .map(|output| output.ct_eq(&expected).into())
                        .map_err(HashError::failed)
                })
            }
            (StoredHash::Foreign(hash), PresentedSecret::Foreign(token)) => {
                let hash = hash.clone();
                let part = Zeroizing::new(token.hashed_part().to_vec());
                Box::new(move |blocks| hash.verify(&part, blocks))
            }
            (StoredHash::Foreign(_), PresentedSecret::Native(_)) => Box::new(|_| Ok(false)),
        })
    }

    async fn run(
        &self,
        scheme: Scheme,
        key: &HashKey,
        binding: Binding,
        salt: [u8; NativeHash::SALT_LENGTH],
        secret: &[u8; Secret::LENGTH],
    ) -> Result<[u8; NativeHash::OUTPUT_LENGTH], HashError> {
        match scheme {
            Scheme::HmacSha256 => Ok(key.mac.hash(&binding, &salt, secret)),
            Scheme::Argon2id(cost) => {
                let pepper = key.pepper.clone();
                let secret = Secret::copied(secret);
                let runs = Arc::clone(&self.runs);
                let workspace = binding.workspace().clone();
                let run = self.pool.run(Purpose::NewHash, &workspace, move |blocks| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    let pepper = pepper.as_deref().map(Pepper::key);
                    argon2id::hash(cost, pepper, &binding, &salt, &secret, blocks)
                });
                run.await?.map_err(HashError::failed)
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("scheme", &self.scheme)
            .field(
                "waiting_verifications",
                &self.queue().waiting_verifications(),
            )
            .field("waiting_new_hashes", &self.queue().waiting_new_hashes())
            .finish_non_exhaustive()
    }
}

/// An error from hashing a secret, which says nothing about the secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The queue for Argon2 is full. A later attempt may succeed.
    #[error("too many hashes are waiting to be computed")]
    Busy,
    /// The hash was made with a pepper that is not in the ring.
    #[error("the hash was made with a pepper that is not in the ring")]
    UnknownPepper,
    /// Argon2 failed, most likely because there was not enough memory.
    #[error("the hash could not be computed")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl HashError {
    pub(crate) fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(source.into()))
    }
}

impl From<PoolError> for HashError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Busy,
            PoolError::Lost => Self::failed("the run was lost"),
        }
    }
}
