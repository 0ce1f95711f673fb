//! The verifier's cache, and around it the steps of `Verifier::verify` that matter to it, in their
//! order.

#[expect(dead_code, reason = "misses are not counted here")]
#[path = "../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "last uses are not part of this model")]
#[path = "../../src/verifier/known.rs"]
mod known;
mod map;
mod proof;

use std::{
    cell::Cell,
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use shuttle::sync::Mutex;

pub(crate) use self::proof::{Fingerprint, TokenMac};
use self::{
    cache::{Cache, Entry},
    known::Known,
    proof::Proof,
};
use crate::{
    Key, KeyId, Status,
    fault::{self, Fault},
    meter, model,
    store::{Handle, Row, Stamp},
    sync::step,
    time,
};

thread_local! {
    static FROM_MEMORY: Cell<u64> = const { Cell::new(0) };
}

/// How many verifications of this thread's models were decided in memory.
pub(crate) fn from_memory() -> u64 {
    FROM_MEMORY.get()
}

/// Whether a hash takes its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    AtOnce,
    Slow,
}

/// Whether a new hash finds a place in the queue for Argon2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    Taken,
}

/// A hash to be replaced.
struct Rehash {
    known: Arc<Known>,
    token: TokenMac,
}

#[derive(Clone)]
pub(crate) struct Verifier {
    handle: Handle,
    cache: Arc<Cache>,
    hashing: Hashing,
    /// How many hashes were computed.
    hashes: Arc<AtomicU64>,
    /// The one hash that would be made now.
    today: Fingerprint,
    claims: Arc<Mutex<HashSet<KeyId>>>,
    rehashes: Arc<Mutex<VecDeque<Rehash>>>,
}

impl Verifier {
    pub(crate) fn new(handle: &Handle, capacity: usize, hashing: Hashing) -> Self {
        Self {
            handle: handle.clone(),
            cache: Cache::new(capacity, Arc::clone(&handle.lease)),
            hashing,
            hashes: Arc::default(),
            today: Fingerprint(1),
            claims: Arc::default(),
            rehashes: Arc::default(),
        }
    }

    /// Others than this are outdated.
    pub(crate) fn with_hash(self, today: Fingerprint) -> Self {
        Self { today, ..self }
    }

    pub(crate) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::SeqCst)
    }

    /// Verifies, and holds the answer against what was promised when it began.
    pub(crate) fn verify(&self, id: KeyId, token: TokenMac) -> bool {
        let (promises, handle) = (&self.handle.database.promises, &self.handle);
        let began = time::millis();
        let promised = promises.in_force(id, began, handle.bound);
        let Some(known) = self.decide(id, token) else {
            return false;
        };
        for promise in promised {
            if !promise.allows(&known.key, began) {
                model::violated(&format!("promised was {promise:?}, but it was accepted"));
            }
        }
        if token != model::token(&id) {
            model::violated("a wrong secret was accepted");
        }
        true
    }

    fn decide(&self, id: KeyId, token: TokenMac) -> Option<Arc<Known>> {
        match self.in_memory(&id, token) {
            Some(decided) => {
                FROM_MEMORY.set(FROM_MEMORY.get() + 1);
                decided
            }
            None => self.in_store(id, token),
        }
    }

    fn in_memory(&self, id: &KeyId, token: TokenMac) -> Option<Option<Arc<Known>>> {
        fault::pass_over_the_lease();
        let known = self.cache.look_fresh(id, |entry| {
            if !entry.proof.token.matches(token) {
                return None;
            }
            if entry.outdated.load(Ordering::Relaxed) {
                self.replace_hash(entry, token);
            }
            Some(Arc::clone(&entry.known))
        })?;
        if fault::is(Fault::LeaseAfterEntry) && !self.handle.lease.vouches() {
            return None;
        }
        Some(known.and_then(accept))
    }

    fn in_store(&self, id: KeyId, token: TokenMac) -> Option<Arc<Known>> {
        let lease = &self.handle.lease;
        let mut proven = None;
        for _ in 0..4 {
            let stamp = lease.stamp(&id);
            let row = self.handle.find(&id)?;
            let proof = Proof {
                token,
                hash: row.hash,
            };
            let mut known = proven == Some(proof.hash);
            if !known {
                let remembered = self
                    .cache
                    .look(&id, |entry| entry.proves(token, proof.hash));
                known = match remembered.flatten() {
                    Some(true) => true,
                    Some(false) => return None,
                    None if token == row.token => false,
                    None => return None,
                };
            }
            if known {
                return accept(self.remember(row, stamp, proof));
            }
            if row.key.status(time::now()) != Status::Active {
                return None;
            }
            self.hashes.fetch_add(1, Ordering::SeqCst);
            if self.hashing == Hashing::AtOnce {
                return accept(self.remember(row, stamp, proof));
            }
            step();
            // What was promised before the hash was done holds too.
            let (promises, now) = (&self.handle.database.promises, time::millis());
            let promised = promises.in_force(id, now, self.handle.bound);
            if fault::is(Fault::NoLookAfterHash) || lease.holds(&id, stamp) {
                let accepted = accept(self.remember(row, stamp, proof));
                if let Some(known) = &accepted
                    && promised
                        .iter()
                        .any(|promise| !promise.allows(&known.key, now))
                {
                    model::violated("accepted after a hash during which it was revoked");
                }
                return accepted;
            }
            proven = Some(proof.hash);
        }
        None
    }

    fn remember(&self, row: Row, stamp: Stamp, proof: Proof) -> Arc<Known> {
        let id = row.key.id;
        let known = self.known(row.key, row.version);
        let remembered = self.cache.look(&id, |entry| {
            entry.mark_used();
            Arc::ptr_eq(&entry.known, &known) && entry.proof.hash == proof.hash
        });
        if remembered == Some(true) && !self.handle.lease.vouches() {
            return known;
        }
        let outdated = row.hash != self.today;
        let entry = Entry::new(proof, Arc::clone(&known), outdated);
        if outdated && known.key.status(time::now()) == Status::Active {
            self.replace_hash(&entry, proof.token);
        }
        self.fill(id, stamp, entry);
        known
    }

    fn fill(&self, id: KeyId, stamp: Stamp, entry: Entry) {
        // With a stamp of now the comparison finds at most what is told during the fill: whatever is
        // accepted then would also be without any.
        let stamp = if fault::is(Fault::NoFence) {
            self.handle.lease.stamp(&id)
        } else {
            stamp
        };
        self.cache.fill(id, stamp, entry);
    }

    fn known(&self, key: Key, version: u64) -> Arc<Known> {
        let before = self.cache.look(&key.id, |entry| Arc::clone(&entry.known));
        before
            .filter(|known| known.is(&key, version))
            .unwrap_or_else(|| Arc::new(Known::new(key, version)))
    }

    fn replace_hash(&self, entry: &Entry, token: TokenMac) {
        let claimed = self.claims.lock().unwrap().insert(entry.known.key.id);
        if !claimed {
            return;
        }
        self.rehashes.lock().unwrap().push_back(Rehash {
            known: Arc::clone(&entry.known),
            token,
        });
        entry.outdated.store(false, Ordering::Relaxed);
    }

    /// How many hashes wait to be replaced.
    pub(crate) fn waiting(&self) -> usize {
        self.rehashes.lock().unwrap().len()
    }

    /// Replaces the hash that has waited for longest, if one waits.
    pub(crate) fn replace_next(&self, place: Place) {
        let next = self.rehashes.lock().unwrap().pop_front();
        if let Some(rehash) = next {
            let id = rehash.known.key.id;
            self.run(rehash, place);
            self.claims.lock().unwrap().remove(&id);
        }
    }

    /// As `Rehash::run` does.
    fn run(&self, Rehash { known, token }: Rehash, place: Place) {
        let id = known.key.id;
        if place == Place::Taken {
            self.cache.look(&id, |entry| {
                if entry.known.version == known.version {
                    entry.outdated.store(true, Ordering::Relaxed);
                }
            });
            return;
        }
        let hash = self.today;
        if !self.handle.rehash(id, known.version, hash) {
            return;
        }
        let stamp = self.handle.lease.stamp(&id);
        if let Some(row) = self.handle.find(&id)
            && row.hash == hash
        {
            let known = self.known(row.key, row.version);
            let entry = Entry::new(Proof { token, hash }, known, false);
            self.fill(id, stamp, entry);
        }
    }

    /// How many keys are kept, and how many were taken out.
    pub(crate) fn sizes(&self) -> (usize, u64) {
        (self.cache.len(), meter::evictions())
    }
}

fn accept(known: Arc<Known>) -> Option<Arc<Known>> {
    (known.lasts || known.key.status(time::now()) == Status::Active).then_some(known)
}
