//! The model's backend of the protocol: secrets and hashes are numbers, and there is no
//! cryptography.

use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use keywright_core::store::{StoreErrorKind, Tag};
use shuttle::sync::Mutex;

use super::{
    cache::Cache,
    cached_key::CachedKey,
    proof::{Fingerprint, Proof},
    protocol::{Backend, RehashQueue},
    rehash::{Rehash, RehashClaims},
    tag_checks::TagCheck,
    token_mac::TokenMac,
};
use crate::{
    Key, KeyId, Timestamp,
    fault::{self, Fault},
    hash::{Credential, HashError, StoredHash},
    promise::Promise,
    store::{Handle, Record, StoreError},
    sync::step,
    time,
};

/// How long a hash takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    AtOnce,
    Slow,
    /// A tag proves the secret, and the hash is checked later.
    ByTag,
}

/// The first digit of a hash that no secret has.
pub(crate) const PLANTED: char = 'P';

/// Whether the pool accepts a hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    Free,
    Busy,
}

/// A presented secret, and the promises that were in force when it had been hashed, with that time.
pub(crate) struct ModelSecret {
    number: u64,
    pub(super) hashed: RefCell<Option<(Vec<Promise>, u64)>>,
}

impl ModelSecret {
    pub(super) const fn new(number: u64) -> Self {
        Self {
            number,
            hashed: RefCell::new(None),
        }
    }
}

/// Returns the secret of a key.
pub(crate) fn secret_of(id: &KeyId) -> u64 {
    let [.., a, b] = *id.as_bytes();
    u64::from(a) * 256 + u64::from(b)
}

/// Returns a credential whose hash begins with this base64 digit.
pub(crate) fn credential(digit: char) -> Credential {
    let zeros = "A".repeat(42);
    let text = format!("$hmac-sha256$AAECAwQFBgcICQoLDA0ODw${digit}{zeros}");
    Credential::new(
        StoredHash::parse(&text).unwrap(),
        Tag::from_bytes([0; Tag::LENGTH]),
    )
}

/// Whether the secret of a key has the hash of its record.
fn has_hash(record: &Record) -> bool {
    record.credential != credential(PLANTED)
}

pub(super) struct ModelBackend {
    pub(super) handle: Handle,
    pub(super) hashing: Hashing,
    pub(super) queue: Arc<Queue>,
    /// The credential of new hashes. All others are outdated.
    pub(super) current: Credential,
    /// The number of hashes that were computed.
    pub(super) hashes: AtomicU64,
    pub(super) pool_is_busy: AtomicBool,
    /// The checks that wait, and whether the secret has the hash.
    pub(super) checks: Mutex<VecDeque<(TagCheck, bool)>>,
}

impl ModelBackend {
    fn hash(&self, secret: &ModelSecret, id: KeyId) {
        self.hashes.fetch_add(1, Ordering::SeqCst);
        if self.hashing == Hashing::AtOnce {
            return;
        }
        step();
        let now = time::millis();
        let promises = &self.handle.database.promises;
        let in_force = promises.in_force(id, now, self.handle.bound);
        secret.hashed.replace(Some((in_force, now)));
    }
}

impl Backend for ModelBackend {
    type Secret = ();

    type Binding = ();

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let ahead = fault::take_read_ahead();
        Ok(ahead.unwrap_or_else(|| self.handle.find(id)))
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        if self.handle.rehash(id, version, credential) {
            Ok(())
        } else {
            Err(StoreError::new(StoreErrorKind::Conflict, "model"))
        }
    }

    fn now(&self) -> Timestamp {
        time::now()
    }

    fn observe(&self, _: Timestamp) {}

    fn mac(&self, secret: &ModelSecret) -> TokenMac {
        TokenMac::new([secret.number, 0])
    }

    fn fingerprint(&self, _: &Key, hash: &StoredHash) -> Fingerprint {
        let text = hash.to_string();
        let digit = text.bytes().nth_back(42).unwrap();
        Fingerprint(digit.into())
    }

    fn binding(&self, _: &Key) {}

    fn tag_matches(
        &self,
        secret: &ModelSecret,
        record: &Record,
        (): &(),
    ) -> Result<bool, HashError> {
        Ok(secret.number == secret_of(&record.key.id))
    }

    fn tag_proves(&self, _: &Record) -> bool {
        self.hashing == Hashing::ByTag
    }

    fn check_later(&self, _: &ModelSecret, record: &Record, (): &(), check: TagCheck) {
        let matches = has_hash(record);
        self.checks.lock().unwrap().push_back((check, matches));
    }

    fn verify_at_once(
        &self,
        secret: &ModelSecret,
        record: &Record,
        (): &(),
    ) -> Result<Option<bool>, HashError> {
        let at_once = self.hashing == Hashing::AtOnce || fault::is(Fault::LeaseNotCheckedAfterHash);
        Ok(at_once.then(|| {
            self.hash(secret, record.key.id);
            true
        }))
    }

    async fn verify_on_pool(
        &self,
        secret: &ModelSecret,
        record: &Record,
        (): (),
        _: Proof,
    ) -> Result<bool, HashError> {
        self.hash(secret, record.key.id);
        Ok(has_hash(record))
    }

    fn is_current(&self, record: &Record) -> bool {
        let is_current = record.credential == self.current;
        if !is_current && fault::is(Fault::QueuedBeforeFill) {
            // The protocol is about to fill the cache, and would queue the rehash after that.
            let id = record.key.id;
            self.queue.push(Rehash {
                cached: Arc::new(CachedKey::new(record.key.clone(), record.version)),
                token: TokenMac::new([secret_of(&id), 0]),
                secret: (),
                claim: RehashClaims::default().claim(id).unwrap(),
            });
            return true;
        }
        is_current
    }

    fn copy_secret(&self, _: &ModelSecret) {}

    async fn hash_again(&self, _: &Key, (): &()) -> Result<Credential, HashError> {
        if self.pool_is_busy.load(Ordering::SeqCst) {
            Err(HashError::Busy)
        } else {
            Ok(self.current.clone())
        }
    }

    fn assume_proven(&self, _: KeyId, _: Proof) -> impl Sized {}

    fn intern(&self, _: &mut Key) {}

    fn record_use(&self, _: &Arc<CachedKey>) {}
}

/// The hashes that wait to be replaced.
pub(super) struct Queue {
    rehashes: Mutex<VecDeque<Rehash<()>>>,
    cache: Arc<Cache>,
}

impl Queue {
    pub(super) fn new(cache: &Arc<Cache>) -> Arc<Self> {
        Arc::new(Self {
            rehashes: Mutex::default(),
            cache: Arc::clone(cache),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rehashes.lock().unwrap().len()
    }

    fn push(&self, rehash: Rehash<()>) {
        self.rehashes.lock().unwrap().push_back(rehash);
    }

    pub(super) fn pop(&self) -> Option<Rehash<()>> {
        self.rehashes.lock().unwrap().pop_front()
    }
}

impl RehashQueue<()> for Queue {
    fn try_push(&self, rehash: Rehash<()>) -> bool {
        let id = rehash.cached.key.id;
        self.push(rehash);
        if fault::is(Fault::ClearedAfterQueueing) {
            self.cache.read(&id, |entry| {
                entry.cached.outdated.store(false, Ordering::Relaxed);
            });
        }
        true
    }
}
