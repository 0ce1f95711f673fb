//! What a host chooses, and how the library is opened with it.

use std::{fmt, io, sync::Arc};

use crate::{
    Clock, Entropy, Issuer, KeyStore, Lease, OsEntropy, PepperRing, Prefix, RandomError, Scheme,
    StoreError, SystemClock, Verifier,
    hash::Hasher,
    meter::{self, Instance},
    verifier::{Cache, Due, Memory, ProofKey, Rehashing, Upkeep, Uses, Writing},
};

/// How many keys are remembered unless the host chooses otherwise.
const DEFAULT_CACHE: usize = 100_000;

/// What a host chooses. Only the prefix must be chosen.
///
/// | | default |
/// | --- | --- |
/// | [`with_scheme`](Self::with_scheme) | Argon2id, 19456 KiB, 2 passes, 1 lane |
/// | [`with_peppers`](Self::with_peppers) | none |
/// | [`with_hash_queue`](Self::with_hash_queue) | 256 |
/// | [`with_cache`](Self::with_cache) | 100,000 keys |
/// | [`with_entropy`](Self::with_entropy) | the operating system's |
/// | [`with_clock`](Self::with_clock) | the operating system's |
#[must_use]
pub struct Config {
    prefix: Prefix,
    scheme: Scheme,
    peppers: PepperRing,
    hash_queue: usize,
    cache: usize,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
}

impl Config {
    /// The defaults, for tokens that begin with `prefix`. It should be the host's own (`acme`): it
    /// is what people and secret scanners know its tokens by, and once keys are out it never
    /// changes.
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            scheme: Scheme::default(),
            peppers: PepperRing::default(),
            hash_queue: 256,
            cache: DEFAULT_CACHE,
            entropy: Arc::new(OsEntropy),
            clock: Arc::new(SystemClock),
        }
    }

    /// How the secrets of new keys are hashed. Keys that were hashed otherwise verify all the same.
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// The peppers that hashes are keyed with. A key whose pepper is missing cannot be verified.
    pub fn with_peppers(mut self, peppers: PepperRing) -> Self {
        self.peppers = peppers;
        self
    }

    /// How many runs of Argon2 may wait for a core, at least 1; one more is refused as
    /// [`HashError::Busy`](crate::HashError::Busy). A run takes about 13 ms.
    pub fn with_hash_queue(mut self, runs: usize) -> Self {
        self.hash_queue = runs.max(1);
        self
    }

    /// How many keys that were verified are remembered; 0 for none, and each verification asks the
    /// store and computes the hash. A key takes about 400 bytes, a name of 20 characters and three
    /// permissions included. Those that were not used for longest make room for others.
    pub fn with_cache(mut self, keys: usize) -> Self {
        self.cache = keys;
        self
    }

    /// Where random bytes come from.
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// What time it is.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("prefix", &self.prefix)
            .field("scheme", &self.scheme)
            .field("peppers", &self.peppers)
            .field("hash_queue", &self.hash_queue)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// The library, opened over a store: what issues keys and what verifies them. Cloning is cheap, and
/// all clones are one.
///
/// # Metrics
///
/// With the feature `metrics`, the recorder of the crate [`metrics`](https://docs.rs/metrics) is told
/// each second, and by [`flush`](Self::flush):
///
/// | name | kind | what |
/// | --- | --- | --- |
/// | `keywright_verifications_total` | counter | verifications that came to an end, by `outcome`: `accepted`, `malformed`, `unknown`, `wrong_secret`, `revoked`, `expired`, `undecided` |
/// | `keywright_cache_hits_total` | counter | verifications decided in memory |
/// | `keywright_cache_misses_total` | counter | verifications that asked the store, by `reason`: the key was `absent`, its copy was `stale`, or the lease had `lapsed` |
/// | `keywright_cache_evictions_total` | counter | keys forgotten to make room for others |
/// | `keywright_argon2_runs_total` | counter | runs of Argon2 begun, for new keys too |
/// | `keywright_rehashes_total` | counter | hashes replaced by ones of today's scheme and pepper |
/// | `keywright_instances` | gauge | `Keywright`s open, clones not counted |
/// | `keywright_cached_keys` | gauge | keys remembered |
/// | `keywright_argon2_waiting` | gauge | runs of Argon2 that wait for a core |
/// | `keywright_last_uses_waiting` | gauge | keys whose last use is to be written |
/// | `keywright_lease_holds` | gauge | `Keywright`s whose [`Lease`] holds |
/// | `keywright_lease_remaining_seconds` | gauge | until the lease lapses by itself, 0 once it has; never told of one without an end |
///
/// The recorder is the process's, and so are the numbers: several `Keywright`s add up, and of their
/// leases the shortest counts. What happened before the recorder was installed is told too; only the
/// descriptions are given when a `Keywright` is opened. The two labels have the values above and no
/// other: no number tells of a key, a workspace or a client.
#[derive(Clone, Debug)]
pub struct Keywright {
    issuer: Issuer,
    verifier: Verifier,
}

impl Keywright {
    /// Opens the library over a store and claims the store for the prefix.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the store belongs to another prefix or cannot be reached, or if no threads
    /// can be started.
    pub async fn open(config: Config, store: Arc<dyn KeyStore>) -> Result<Self, OpenError> {
        let Config {
            prefix,
            scheme,
            peppers,
            hash_queue,
            cache,
            entropy,
            clock,
        } = config;
        let claimed = store
            .claim_prefix(&prefix)
            .await
            .map_err(OpenError::Store)?;
        if claimed != prefix {
            return Err(OpenError::Prefix {
                store: claimed,
                wanted: prefix,
            });
        }
        let hasher = Hasher::start(scheme, &peppers, hash_queue).map_err(OpenError::Threads)?;
        let hasher = Arc::new(hasher);
        let proofs = ProofKey::generate(&*entropy).map_err(OpenError::Random)?;
        let lease = store.lease();
        let uses = Arc::new(Uses::new(cache.max(DEFAULT_CACHE)));
        let writing = Writing {
            uses: Arc::clone(&uses),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
        };
        let cache = Cache::new(cache, Arc::clone(&lease));
        let instance = Instance::open(&cache, &uses, &lease, hasher.queue().clone());
        let memory = Arc::new(Memory::new(cache, uses, proofs));
        let rehashing = Rehashing {
            store: Arc::clone(&store),
            lease: Arc::clone(&lease),
            hasher: Arc::clone(&hasher),
            entropy: Arc::clone(&entropy),
            memory: Arc::clone(&memory),
        };
        let upkeep = Upkeep::start(writing.clone(), rehashing, instance);
        let shared = Arc::new(Shared {
            prefix,
            store,
            memory,
            lease,
            hasher,
            entropy,
            clock,
            upkeep: upkeep.map_err(OpenError::Threads)?,
            writing,
        });
        Ok(Self {
            issuer: Issuer(Arc::clone(&shared)),
            verifier: Verifier(shared),
        })
    }

    /// What creates keys.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Writes when keys were last used, without the wait of up to a minute between two writes of one
    /// key: for a host that is about to end. Dropping the last clone of this, of the issuer and of the
    /// verifier does the same, and blocks for it. Metrics are told as they then are.
    ///
    /// # Errors
    ///
    /// What the store reports. What was not written is tried again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let written = self.verifier.0.writing.flush(Due::All).await;
        meter::publish();
        written
    }

    /// How many runs of Argon2 were begun since this was opened: one for each key that is created, one
    /// for each token that is not remembered, one for each hash that is replaced.
    #[must_use]
    pub fn argon2_runs(&self) -> u64 {
        self.verifier.0.hasher.runs()
    }

    /// What verifies tokens.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

/// What issuer and verifier have in common.
pub(crate) struct Shared {
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("prefix", &self.prefix)
            .field("store", &self.store)
            .field("memory", &self.memory)
            .field("hasher", &self.hasher)
            .finish_non_exhaustive()
    }
}

/// Why the library could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The store's keys have another prefix.
    Prefix {
        /// The prefix that the store was first used with.
        store: Prefix,
        /// The prefix of the configuration.
        wanted: Prefix,
    },
    /// The store failed.
    Store(StoreError),
    /// No random bytes.
    Random(RandomError),
    /// The threads for hashing and upkeep could not be started.
    Threads(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { store, wanted } => {
                write!(
                    f,
                    "the store's keys begin with {store}_, not with {wanted}_"
                )
            }
            Self::Store(_) => f.write_str("the store could not be opened"),
            Self::Random(_) => f.write_str("no random bytes could be had"),
            Self::Threads(_) => {
                f.write_str("the threads for hashing and upkeep could not be started")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Prefix { .. } => None,
            Self::Store(source) => Some(source),
            Self::Random(source) => Some(source),
            Self::Threads(source) => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::{MemoryStore, Pepper, PepperId};

    #[test]
    fn debug_shows_what_was_chosen_and_no_byte_of_a_pepper() {
        let pepper = Pepper::new(PepperId::parse("p1").unwrap(), &[b'K'; 32]).unwrap();
        let peppers = PepperRing::default().with_newest(pepper).unwrap();
        let config = Config::new(Prefix::parse("acme").unwrap()).with_peppers(peppers);
        let configured = format!("{config:?}");
        let opened = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
        assert!(configured.contains("p1"), "{configured}");
        for shown in [configured, format!("{opened:?}")] {
            for word in ["acme", "Argon2id"] {
                assert!(shown.contains(word), "{shown}");
            }
            for secret in ["KKKK", "75, 75", "4b4b"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}
