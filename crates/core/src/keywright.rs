//! The library, opened over a store.

use std::{io, sync::Arc};

use crate::{
    Config, Issuer, Prefix, Verifier,
    config::{DEFAULT_CACHE, DEFAULT_CACHE_BYTES},
    foreign::ForeignFormats,
    hash::Hasher,
    issuer::Recorder,
    meter,
    random::RandomError,
    store::{KeyStore, StoreError},
    verifier::{CacheCapacity, KeyStoreBackend, LastUsedQueue, ProofKey, Retention},
};

/// About how many bytes a check that waits takes, with its copy of the secret.
const BYTES_PER_CHECK: usize = 600;

/// The library, opened over a store: an [`Issuer`] and a [`Verifier`]. Clones are cheap and share
/// everything.
///
/// # Metrics
///
/// With the feature `metrics`, the library publishes these metrics to the recorder of the crate
/// [`metrics`](https://docs.rs/metrics), once a second and at each [`flush`](Self::flush):
///
/// | name | kind | meaning |
/// | --- | --- | --- |
/// | `keywright_verifications_total` | counter | completed verifications, by `outcome` |
/// | `keywright_cache_hits_total` | counter | verifications decided from the cache |
/// | `keywright_cache_misses_total` | counter | verifications that read the store, by `reason` |
/// | `keywright_cache_evictions_total` | counter | keys evicted from the cache |
/// | `keywright_argon2_runs_total` | counter | Argon2 runs started, including those for new keys |
/// | `keywright_rehashes_total` | counter | hashes replaced with the current scheme and pepper |
/// | `keywright_tags_refuted_total` | counter | keys that their tag proved and their hash did not |
/// | `keywright_instances` | gauge | open `Keywright`s, not counting clones |
/// | `keywright_cached_keys` | gauge | keys in the cache |
/// | `keywright_cached_bytes` | gauge | memory that they take, approximately |
/// | `keywright_argon2_waiting` | gauge | runs of Argon2 that wait for a core, by `purpose` |
/// | `keywright_last_uses_waiting` | gauge | keys whose last use is not written yet |
/// | `keywright_lease_holds` | gauge | `Keywright`s whose [`Lease`](crate::store::Lease) holds |
/// | `keywright_lease_remaining_seconds` | gauge | time until the lease lapses |
///
/// * `outcome` is `accepted`, `malformed`, `unknown`, `wrong_secret`, `revoked`, `expired`,
///   `disabled`, `address_not_allowed` or `undecided`.
/// * `reason` is `absent` if the key was not cached, `stale` if its record has changed, or `lapsed`
///   if the lease did not hold.
/// * `purpose` is `verification`, `new_hash` for a new key or a replaced hash, or `check` for the
///   hash of a key that was accepted by its tag.
/// * `keywright_tags_refuted_total` above 0 means that someone has changed a record in the store.
///   Alert on it.
/// * `keywright_lease_holds` below `keywright_instances` for longer than a few seconds means that
///   the store cannot report changes: each verification reads the store. Alert on it.
/// * `keywright_lease_remaining_seconds` is 0 once the lease has lapsed. It is not published for a
///   lease without an end.
///
/// The recorder is global to the process, and so are the metrics: the values of several
/// `Keywright`s add up, except that the shortest of their leases is published. Events before the
/// installation of the recorder count. Descriptions are registered when a `Keywright` is opened.
/// The labels have no other values: no metric identifies a key, a workspace or a client.
#[derive(Clone, Debug)]
pub struct Keywright {
    issuer: Issuer,
    verifier: Verifier,
}

impl Keywright {
    /// Opens the library over a store.
    ///
    /// The first key that is created claims the store for the prefix. Opening claims nothing, so
    /// an empty store can be opened with another prefix later.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the store belongs to another prefix or cannot be reached, if no random
    /// bytes can be read, or if no threads can be started.
    pub async fn open(config: Config, store: Arc<dyn KeyStore>) -> Result<Self, OpenError> {
        let Config {
            prefix,
            scheme,
            peppers,
            verification_by_tag,
            hash_queue,
            hash_niceness,
            cache,
            entropy,
            clock,
            max_lifetime,
            event_retention,
            observer,
            foreign,
        } = config;
        if foreign.len() > ForeignFormats::MAX {
            return Err(OpenError::ForeignFormats);
        }
        if verification_by_tag && peppers.newest().is_none() {
            return Err(OpenError::TagWithoutPepper);
        }
        let recorder = Recorder {
            writes: !event_retention.is_zero() && store.keeps_events(),
            observer,
        };
        let claimed = store.prefix().await?;
        let is_claimed = claimed.is_some();
        if let Some(claimed) = claimed
            && claimed != prefix
        {
            return Err(OpenError::Prefix {
                store: claimed,
                configured: prefix,
            });
        }
        let checks = if verification_by_tag {
            cache.keys.min(cache.bytes / BYTES_PER_CHECK)
        } else {
            0
        };
        let hasher = Hasher::start(scheme, &peppers, hash_queue, checks, hash_niceness)
            .map_err(OpenError::Threads)?;
        let proof_key = ProofKey::generate(&*entropy)?;
        let last_used = LastUsedQueue::new(CacheCapacity {
            keys: cache.keys.max(DEFAULT_CACHE),
            bytes: cache.bytes.max(DEFAULT_CACHE_BYTES),
        });
        let retention = Retention::new(event_retention);
        let backend = KeyStoreBackend::new(store, hasher, entropy, clock, last_used, proof_key);
        let verifier = Verifier::start(prefix, is_claimed, backend, foreign, cache, retention)
            .map_err(OpenError::Threads)?;
        Ok(Self {
            issuer: Issuer {
                verifier: verifier.clone(),
                max_lifetime,
                recorder,
            },
            verifier,
        })
    }

    /// Returns the issuer, which creates and manages keys.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the verifier, which verifies tokens.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Writes all last uses to the store now, and publishes the metrics.
    ///
    /// Without a flush, up to a minute passes between two writes of one key's last use. Call this
    /// before the host exits. Dropping the last clone of the `Keywright`, its issuer and its
    /// verifier also writes them, and blocks for that time, unless the last call of this failed.
    ///
    /// A flush takes at most 5 seconds, and stops as soon as the store is unavailable.
    ///
    /// # Errors
    ///
    /// The store's error, or [`Unavailable`](crate::store::StoreErrorKind::Unavailable) if the time
    /// is up. Uses that were not written stay queued, and are retried in the background.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let written = self.verifier.flush().await;
        meter::publish();
        written
    }

    /// Returns the number of Argon2 runs started since this was opened: one for each key that is
    /// created, each token whose key is not cached, and each hash that is replaced.
    #[must_use]
    pub fn argon2_runs(&self) -> u64 {
        self.verifier.hasher().runs()
    }
}

/// An error from [`Keywright::open`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store's keys have another prefix.
    #[error("the store's keys begin with {store}_, not with {configured}_")]
    Prefix {
        /// The prefix that the store was claimed for.
        store: Prefix,
        /// The prefix of the configuration.
        configured: Prefix,
    },
    /// The store failed.
    #[error("could not open the store")]
    Store(#[from] StoreError),
    /// There are more than four [foreign formats](Config::with_foreign).
    #[error("more than four foreign formats are configured")]
    ForeignFormats,
    /// [Verification by tag](Config::with_verification_by_tag) is on, and there is no pepper.
    #[error("verification by tag needs a pepper")]
    TagWithoutPepper,
    /// The source of random bytes failed.
    #[error("could not read random bytes")]
    Random(#[from] RandomError),
    /// The threads for hashing and upkeep could not be started.
    #[error("could not start the threads for hashing and upkeep")]
    Threads(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::{MemoryStore, Pepper, PepperId, PepperRing};

    /// A host boxes verifications as `dyn Future + Send`.
    #[test]
    fn a_verification_can_be_sent_to_another_thread() {
        fn assert_send<T: Send>(future: T) -> T {
            future
        }
        let config = Config::new(Prefix::parse("acme").unwrap());
        let keywright = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
        let verify = assert_send(async move { keywright.verifier().verify(b"acme").await });
        assert!(block_on(verify).is_err());
    }

    #[test]
    fn debug_output_shows_the_configuration_and_no_byte_of_a_pepper() {
        let pepper = Pepper::new(PepperId::parse("p1").unwrap(), &[b'K'; 32]).unwrap();
        let peppers = PepperRing::default().with_newest(pepper).unwrap();
        let config = Config::new(Prefix::parse("acme").unwrap()).with_peppers(peppers);
        let configured = format!("{config:?}");
        let keywright = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
        assert!(configured.contains("p1"), "{configured}");
        for output in [configured, format!("{keywright:?}")] {
            for word in ["acme", "Argon2id"] {
                assert!(output.contains(word), "{output}");
            }
            for secret in ["KKKK", "75, 75", "4b4b"] {
                assert!(!output.contains(secret), "{output}");
            }
        }
    }
}
