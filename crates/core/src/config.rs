//! The configuration of the library.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Clock, Entropy, Observer, OsEntropy, PepperRing, Prefix, Scheme, SystemClock,
    foreign::{ForeignFormat, ForeignFormats},
    verifier::CacheCapacity,
};

/// The default cache capacity, in keys.
pub(crate) const DEFAULT_CACHE: usize = 100_000;

/// The default cache capacity, in bytes.
pub(crate) const DEFAULT_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// The default number of verifications that may wait for Argon2.
///
/// After a restart, each connection may present another key. A host has far fewer connections than
/// this, so no client is rejected because the process has just started.
const DEFAULT_HASH_QUEUE: usize = 16_384;

/// The default niceness of the threads for Argon2.
const DEFAULT_HASH_NICENESS: u8 = 5;

/// How long events are kept by default.
const DEFAULT_EVENT_RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Configuration of the library. Only the prefix is required.
///
/// | method | default |
/// | --- | --- |
/// | [`with_scheme`](Self::with_scheme) | Argon2id, 19456 KiB, 2 passes, 1 lane |
/// | [`with_peppers`](Self::with_peppers) | none |
/// | [`with_verification_by_tag`](Self::with_verification_by_tag) | off |
/// | [`with_hash_queue`](Self::with_hash_queue) | 16,384 verifications, 256 new hashes |
/// | [`with_hash_niceness`](Self::with_hash_niceness) | 5 |
/// | [`with_cache`](Self::with_cache) | 100,000 keys |
/// | [`with_cache_bytes`](Self::with_cache_bytes) | 64 MiB |
/// | [`with_max_lifetime`](Self::with_max_lifetime) | none |
/// | [`with_event_retention`](Self::with_event_retention) | 400 days |
/// | [`with_observer`](Self::with_observer) | none |
/// | [`with_foreign`](Self::with_foreign) | none |
/// | [`with_entropy`](Self::with_entropy) | the operating system's |
/// | [`with_clock`](Self::with_clock) | the operating system's |
#[must_use]
pub struct Config {
    pub(crate) prefix: Prefix,
    pub(crate) scheme: Scheme,
    pub(crate) peppers: PepperRing,
    pub(crate) verification_by_tag: bool,
    pub(crate) hash_queue: usize,
    pub(crate) hash_niceness: u8,
    pub(crate) cache: CacheCapacity,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) event_retention: Duration,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) foreign: ForeignFormats,
}

impl Config {
    /// Creates a configuration for tokens that begin with `prefix`, with defaults for everything
    /// else.
    ///
    /// The prefix should be specific to the host (`acme`), because people and secret scanners
    /// recognise its tokens by it. It cannot change once a store has keys.
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            scheme: Scheme::default(),
            peppers: PepperRing::default(),
            verification_by_tag: false,
            hash_queue: DEFAULT_HASH_QUEUE,
            hash_niceness: DEFAULT_HASH_NICENESS,
            cache: CacheCapacity {
                keys: DEFAULT_CACHE,
                bytes: DEFAULT_CACHE_BYTES,
            },
            entropy: Arc::new(OsEntropy),
            clock: Arc::new(SystemClock),
            max_lifetime: None,
            event_retention: DEFAULT_EVENT_RETENTION,
            observer: None,
            foreign: ForeignFormats::default(),
        }
    }

    /// Sets how the secrets of new keys are hashed. Keys with a hash of another scheme still
    /// verify, and their hashes are replaced.
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sets the peppers that hashes are keyed with. A key whose pepper is missing cannot be
    /// verified.
    pub fn with_peppers(mut self, peppers: PepperRing) -> Self {
        self.peppers = peppers;
        self
    }

    /// Sets whether a key that is not cached is accepted as soon as its tag matches. Its Argon2id
    /// hash is checked afterwards. Requires a [pepper](Self::with_peppers).
    ///
    /// Use it if many keys are used for the first time at once, for example after a deployment.
    /// Without it, each of them waits for an Argon2 run. The tag takes about a microsecond.
    ///
    /// * The tag is 128 bits of an HMAC under the pepper, so it proves a secret as an HMAC-SHA-256
    ///   hash with a pepper does. A hash without a pepper and a hash of another system are computed
    ///   before the key is accepted, as without this option.
    /// * If the check finds that the secret does not have the hash, someone other than this library
    ///   has changed the record. From then on, the key is rejected. The library logs an error with
    ///   the key's id and counts it in `keywright_tags_refuted_total`.
    /// * Checks run when no caller waits for a core, and leave one core to callers if there are
    ///   several. Each of them takes about 600 bytes, including a copy of the secret. At most as
    ///   many wait as the [cache](Self::with_cache) has keys, and fit into as many
    ///   [bytes](Self::with_cache_bytes) as it has. Workspaces share these places. If there is
    ///   none, a key waits for its hash.
    /// * A hash is replaced with one of the current scheme and pepper only after its check.
    /// * Dropping the library drops the checks that wait.
    pub fn with_verification_by_tag(mut self, enabled: bool) -> Self {
        self.verification_by_tag = enabled;
        self
    }

    /// Sets how many Argon2 runs may wait for a core, at least 1: this many verifications, and as
    /// many hashes of new keys or replaced hashes, up to 256.
    ///
    /// * Only a token with the right secret of an active key waits, or one of an imported key that
    ///   was not used since. It takes about 2 KB.
    /// * Verifications go first, but a core that is always busy gives new hashes every fifth run.
    /// * Workspaces take turns, so a workspace with many runs delays another by one run.
    /// * If the queue is full, the run fails with
    ///   [`HashError::Busy`](crate::error::HashError::Busy), unless another workspace has more runs
    ///   waiting. Then that workspace's newest run fails instead. So one workspace can use the
    ///   whole queue, but cannot keep others out.
    pub fn with_hash_queue(mut self, runs: usize) -> Self {
        self.hash_queue = runs.max(1);
        self
    }

    /// Sets how much nicer than the rest of the process the threads for Argon2 are, from 0 to 19.
    /// This has an effect only on Linux.
    ///
    /// Argon2 keeps all cores busy after a restart. With the priority of the other threads, a
    /// request with a cached key then sometimes waits several milliseconds for a core. With the
    /// default, the scheduler interrupts Argon2 at once.
    ///
    /// Argon2 runs as fast as before on a core that has nothing else to do. If the host keeps all
    /// cores busy, a niceness of 5 leaves Argon2 a quarter of a core next to one thread of the
    /// host, 10 leaves a tenth, and 19 a seventieth.
    ///
    /// With 0, the priority is not changed. This is necessary if a filter of system calls kills the
    /// process for `setpriority`. If the filter lets the call fail, the priority stays as it is.
    pub fn with_hash_niceness(mut self, niceness: u8) -> Self {
        self.hash_niceness = niceness.min(19);
        self
    }

    /// Sets how many verified keys are cached. When the cache is full, it evicts keys that have not
    /// been used recently.
    ///
    /// With 0, each verification reads the store and computes the hash. A key takes about 400
    /// bytes, including a name of 20 characters and three permissions.
    pub fn with_cache(mut self, keys: usize) -> Self {
        self.cache.keys = keys;
        self
    }

    /// Sets how many bytes the cached keys may use, by an estimate that counts each key in full.
    /// With 0, nothing is cached.
    ///
    /// Names, metadata and permissions differ in size, so either bound may be reached first: 64 MiB
    /// hold 100,000 keys of 670 bytes, but about 5,000 keys of the maximum size, 12 KiB. A
    /// recently used key is not evicted, whatever the size of other keys. An evicted key costs an
    /// Argon2 run at its next use.
    ///
    /// Unwritten last uses also keep keys in memory, up to the same number of bytes (64 MiB if that
    /// is more) for keys that are no longer cached.
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache.bytes = bytes;
        self
    }

    /// Sets the maximum time between the creation of a key and its expiry. A later expiry is
    /// rejected. A key that is created without an expiry, or whose expiry is removed, gets the
    /// latest one that this and its caller allow. Existing keys keep their expiry until it is
    /// changed.
    pub fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// Sets how long [events](crate::Event) are kept. Older events are deleted in the background,
    /// in steps. With zero, no events are written, for a host that keeps an audit log itself, and
    /// events that the store has already are kept. With [`Duration::MAX`], no events are deleted.
    ///
    /// If several processes use one store, the shortest of their retentions counts.
    pub fn with_event_retention(mut self, retention: Duration) -> Self {
        self.event_retention = retention;
        self
    }

    /// Sets a callback for the events of the changes that this process makes. It is also called if
    /// no events are written.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Accepts tokens of another system whose keys were [imported](crate::Importer). Call it once
    /// for each format, at most four times.
    ///
    /// A token in the format of this library is never accepted as a foreign one. Any other token
    /// that no key has costs one read of the store for each format that it fits. To avoid these
    /// reads, let the format demand a [prefix](ForeignFormat::with_token_prefix) or a
    /// [length](ForeignFormat::with_token_length).
    pub fn with_foreign(mut self, format: ForeignFormat) -> Self {
        self.foreign.push(format);
        self
    }

    /// Sets the source of random bytes.
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Sets the clock.
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
            .field("verification_by_tag", &self.verification_by_tag)
            .field("hash_queue", &self.hash_queue)
            .field("hash_niceness", &self.hash_niceness)
            .field("cache", &self.cache)
            .field("max_lifetime", &self.max_lifetime)
            .field("event_retention", &self.event_retention)
            .field("foreign", &self.foreign)
            .finish_non_exhaustive()
    }
}
