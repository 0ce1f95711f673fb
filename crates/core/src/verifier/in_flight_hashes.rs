//! Runs of Argon2 that are in flight, shared by all verifications that need the same result.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_channel::oneshot;

use super::proof::{Proof, ProofId};
use crate::{
    KeyId,
    hash::{Binding, HashError, Hasher, PresentedSecret, StoredHash},
};

type RunResult = Result<bool, HashError>;

/// The runs in flight and their waiters.
///
/// A run does not belong to the verification that started it. It continues as long as any
/// verification waits for it, and keeps its place in the queue until it ends.
#[derive(Clone, Default)]
pub(super) struct InFlightHashes(Arc<Mutex<Runs>>);

#[derive(Default)]
struct Runs {
    runs: HashMap<ProofId, Run>,
    started: u64,
}

enum Run {
    /// In flight, with this number and these waiters.
    InFlight(u64, Vec<oneshot::Sender<RunResult>>),
    /// Not needed: the secret is known to have the hash.
    Proven,
}

/// Makes a run unnecessary until this is dropped.
pub(super) struct AssumedProof {
    hashes: InFlightHashes,
    key: ProofId,
}

impl Drop for AssumedProof {
    fn drop(&mut self) {
        self.hashes.lock().runs.remove(&self.key);
    }
}

/// Notifies the waiters of a run on drop, so that none of them waits for a run that has ended, even
/// by a panic.
struct Completion {
    hashes: InFlightHashes,
    key: ProofId,
    number: u64,
    result: RunResult,
}

impl Completion {
    fn complete(mut self, result: RunResult) {
        self.result = result;
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        // A separate statement, so that the lock is released before the waiters are woken.
        let waiters = self.hashes.lock().remove(&self.key, self.number);
        for waiter in waiters {
            let _ = waiter.send(self.result.clone());
        }
    }
}

impl Runs {
    /// Removes a run and returns its waiters.
    fn remove(&mut self, key: &ProofId, number: u64) -> Vec<oneshot::Sender<RunResult>> {
        match self.runs.remove(key) {
            Some(Run::InFlight(current, waiters)) if current == number => waiters,
            Some(other) => {
                self.runs.insert(*key, other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Whether a run still has a waiter. If it has none, it is removed.
    fn is_awaited(&mut self, key: &ProofId, number: u64) -> bool {
        let awaited = match self.runs.get(key) {
            Some(Run::InFlight(current, waiters)) => {
                *current == number && waiters.iter().any(|waiter| !waiter.is_canceled())
            }
            _ => false,
        };
        if !awaited {
            self.remove(key, number);
        }
        awaited
    }
}

impl InFlightHashes {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the secret has an Argon2 hash. Joins the run in flight, or starts one. `proof` is
    /// the evidence if the secret has the hash.
    pub(super) async fn verify(
        &self,
        hasher: &Hasher,
        (id, proof): (KeyId, Proof),
        hash: &StoredHash,
        binding: Binding,
        secret: PresentedSecret<'_>,
    ) -> RunResult {
        let key = ProofId::new(id, proof);
        let (waiter, result) = oneshot::channel();
        let new_run = {
            let mut all = self.lock();
            match all.runs.get_mut(&key) {
                Some(Run::Proven) => return Ok(true),
                Some(Run::InFlight(_, waiters)) => {
                    waiters.push(waiter);
                    None
                }
                None => {
                    all.started += 1;
                    let number = all.started;
                    all.runs.insert(key, Run::InFlight(number, vec![waiter]));
                    Some(number)
                }
            }
        };
        if let Some(number) = new_run {
            self.start(hasher, (key, number), hash, binding, secret)?;
        }
        result
            .await
            .unwrap_or_else(|_| Err(HashError::failed("the run was lost")))
    }

    fn start(
        &self,
        hasher: &Hasher,
        (key, number): (ProofId, u64),
        hash: &StoredHash,
        binding: Binding,
        secret: PresentedSecret<'_>,
    ) -> Result<(), HashError> {
        let hashes = self.clone();
        let completion = Completion {
            hashes: self.clone(),
            key,
            number,
            result: Err(HashError::failed("the run was lost")),
        };
        let is_awaited = move || hashes.lock().is_awaited(&key, number);
        hasher.submit(hash, binding, secret, is_awaited, move |result| {
            completion.complete(result);
        })
    }

    /// Accepts a proof without a run until the returned guard is dropped.
    pub(super) fn assume_proven(&self, id: KeyId, proof: Proof) -> AssumedProof {
        let key = ProofId::new(id, proof);
        self.lock().runs.insert(key, Run::Proven);
        AssumedProof {
            hashes: self.clone(),
            key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::{proof::Fingerprint, token_mac::TokenMac};

    fn proof() -> Proof {
        Proof {
            token: TokenMac::new([1, 2]),
            hash: Fingerprint(3),
        }
    }

    fn id() -> KeyId {
        KeyId::parse("key_0U5lKtf600000000").unwrap()
    }

    #[test]
    fn an_assumed_proof_is_accepted_until_the_guard_is_dropped() {
        let hashes = InFlightHashes::default();
        let assumed = hashes.assume_proven(id(), proof());
        let key = ProofId::new(id(), proof());
        assert!(matches!(hashes.lock().runs.get(&key), Some(Run::Proven)));
        drop(assumed);
        assert!(hashes.lock().runs.is_empty());
    }

    #[test]
    fn a_run_removes_itself_and_no_later_run_of_the_same_key() {
        let mut all = Runs::default();
        let (waiter, _result) = oneshot::channel();
        let key = ProofId::new(id(), proof());
        all.runs.insert(key, Run::InFlight(2, vec![waiter]));
        assert!(!all.is_awaited(&key, 1));
        assert!(all.remove(&key, 1).is_empty());
        assert!(all.is_awaited(&key, 2));
        assert_eq!(all.remove(&key, 2).len(), 1);
        assert!(!all.is_awaited(&key, 2));
        assert!(all.runs.is_empty());
    }
}
