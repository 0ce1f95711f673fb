//! The verifier's cache, and around it the steps of `Verifier::verify` that matter to it, in their
//! order.

#[expect(dead_code, reason = "hashes here have no scheme")]
#[path = "../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "last uses are not part of this model")]
#[path = "../../src/verifier/known.rs"]
mod known;
mod map;
mod proof;

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use self::proof::{Fingerprint, TokenMac};
use self::{
    cache::{Cache, Entry},
    known::Known,
    proof::Proof,
};
use crate::{
    Key, KeyId, Status,
    fault::{self, Fault},
    model,
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

#[derive(Clone)]
pub(crate) struct Verifier {
    handle: Handle,
    cache: Arc<Cache>,
    hashing: Hashing,
    /// How many hashes were computed.
    hashes: Arc<AtomicU64>,
}

impl Verifier {
    pub(crate) fn new(handle: &Handle, capacity: usize, hashing: Hashing) -> Self {
        Self {
            handle: handle.clone(),
            cache: Cache::new(capacity, Arc::clone(&handle.lease)),
            hashing,
            hashes: Arc::default(),
        }
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
            let matches = entry.proof.token.matches(token);
            matches.then(|| Arc::clone(&entry.known))
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
        let known = self.known(row.key);
        let remembered = self.cache.look(&id, |entry| {
            Arc::ptr_eq(&entry.known, &known) && entry.proof.hash == proof.hash
        });
        if remembered == Some(true) && !self.handle.lease.vouches() {
            return known;
        }
        let entry = Entry::new(proof, Arc::clone(&known), row.version, false);
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

    fn known(&self, key: Key) -> Arc<Known> {
        let before = self.cache.look(&key.id, |entry| Arc::clone(&entry.known));
        before
            .filter(|known| known.is(&key))
            .unwrap_or_else(|| Arc::new(Known::new(key)))
    }

    /// Replaces the hash of a key that was verified, as `Rehash::run` does.
    pub(crate) fn rehash(&self, id: KeyId, token: TokenMac, hash: Fingerprint) {
        let Some(version) = self.cache.look(&id, |entry| entry.version) else {
            return;
        };
        if !self.handle.rehash(id, version, hash) {
            return;
        }
        let stamp = self.handle.lease.stamp(&id);
        if let Some(row) = self.handle.find(&id)
            && row.hash == hash
        {
            let known = self.known(row.key);
            let entry = Entry::new(Proof { token, hash }, known, row.version, false);
            self.fill(id, stamp, entry);
        }
    }

    /// How many keys are kept, and how many were taken out.
    pub(crate) fn sizes(&self) -> (usize, u64) {
        (self.cache.len(), self.cache.evictions())
    }
}

fn accept(known: Arc<Known>) -> Option<Arc<Known>> {
    (known.key.status(time::now()) == Status::Active).then_some(known)
}
