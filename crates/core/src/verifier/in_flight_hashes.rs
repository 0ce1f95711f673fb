//! Runs of Argon2 that are in flight, shared by all verifications that need the same result.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_channel::oneshot;

use super::proof::{Proof, ProofId};
use crate::{
    KeyId,
    hash::{Binding, HashError, Hasher, PresentedSecret, StoredHash},
};

type RunResult = Result<bool, HashError>;

/// The number of unclaimed proofs to keep: more than the runs of a core in three minutes.
const MAX_UNCLAIMED: usize = 16_384;

/// The runs in flight and their waiters.
///
/// A run does not belong to the verification that started it. It stays in the queue as long as any
/// verification waits for it. Once it has started, it ends, and if it succeeds when no verification
/// waits any more, the next one uses the result.
///
/// This matters if clients wait for a shorter time than the queue is long. The first run in the
/// queue is then the one whose client is about to give up. If its result was lost, every core could
/// be busy forever while no client was ever accepted.
#[derive(Clone, Default)]
pub(super) struct InFlightHashes(Arc<Mutex<Runs>>);

#[derive(Default)]
struct Runs {
    runs: HashMap<ProofId, Run>,
    unclaimed: UnclaimedProofs,
    started: u64,
}

enum Run {
    /// In flight, with this number and these waiters.
    InFlight(u64, Vec<oneshot::Sender<RunResult>>),
    /// Not needed: the secret is known to have the hash.
    Proven,
}

/// The runs that succeeded after their last waiter had left. When there are too many, the oldest
/// are forgotten.
#[derive(Default)]
struct UnclaimedProofs {
    keys: HashSet<ProofId>,
    /// The keys in the order of their insertion, including some that were taken since.
    oldest_first: VecDeque<ProofId>,
}

impl UnclaimedProofs {
    fn insert(&mut self, key: ProofId) {
        if self.oldest_first.len() == MAX_UNCLAIMED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.keys.insert(key);
        self.oldest_first.push_back(key);
    }

    /// Removes a proof, and returns whether there was one.
    fn take(&mut self, key: &ProofId) -> bool {
        self.keys.remove(key)
    }
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
        let mut is_claimed = false;
        for waiter in waiters {
            is_claimed |= waiter.send(self.result.clone()).is_ok();
        }
        if !is_claimed && matches!(self.result, Ok(true)) {
            self.hashes.lock().unclaimed.insert(self.key);
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
            if all.unclaimed.take(&key) {
                return Ok(true);
            }
            match all.runs.get_mut(&key) {
                Some(Run::Proven) => return Ok(true),
                Some(Run::InFlight(_, waiters)) => {
                    if waiters.len() == waiters.capacity() {
                        // A client that cancels its requests must not fill the memory.
                        waiters.retain(|waiter| !waiter.is_canceled());
                    }
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
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use futures_executor::block_on;

    use super::*;
    use crate::{
        Environment, PepperRing, Scheme, Workspace,
        token::Secret,
        verifier::{proof::Fingerprint, token_mac::TokenMac},
    };

    fn proof() -> Proof {
        Proof {
            token: TokenMac::new([1, 2]),
            hash: Fingerprint(3),
        }
    }

    fn run_id() -> ProofId {
        ProofId::new(id(), proof())
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

    /// Starts a run with one waiter, drops the waiter, and completes the run.
    fn complete_without_waiter(hashes: &InFlightHashes, result: RunResult) {
        let (waiter, verification) = oneshot::channel();
        let (key, number) = (run_id(), 1);
        let run = Run::InFlight(number, vec![waiter]);
        hashes.lock().runs.insert(key, run);
        assert!(hashes.lock().is_awaited(&key, number));
        let completion = Completion {
            hashes: hashes.clone(),
            key,
            number,
            result: Err(HashError::failed("the run was lost")),
        };
        drop(verification);
        completion.complete(result);
    }

    /// Verifies a secret that does not have its hash.
    async fn verify(hashes: &InFlightHashes, hasher: &Hasher) -> RunResult {
        let hash = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let hash = StoredHash::parse(hash).unwrap();
        let workspace = Workspace::parse("acme").unwrap();
        let binding = Binding::new(&id(), &workspace, Environment::Live);
        let secret = PresentedSecret::Native(&[b'0'; Secret::LENGTH]);
        hashes
            .verify(hasher, (id(), proof()), &hash, binding, secret)
            .await
    }

    #[test]
    fn bug_the_result_of_a_run_was_lost_if_its_client_left_during_the_run() {
        let hasher = Hasher::start(Scheme::HmacSha256, &PepperRing::default(), 1, 0, 0).unwrap();
        let hashes = InFlightHashes::default();
        complete_without_waiter(&hashes, Ok(true));
        assert!(block_on(verify(&hashes, &hasher)).unwrap());
        assert_eq!(hasher.runs(), 0);
        // The result counts once. The hash is not that of the secret.
        assert!(!block_on(verify(&hashes, &hasher)).unwrap());
        assert_eq!(hasher.runs(), 1);
    }

    #[test]
    fn bug_the_waiters_of_a_client_that_had_left_filled_the_memory() {
        let hasher = Hasher::start(Scheme::HmacSha256, &PepperRing::default(), 1, 0, 0).unwrap();
        let hashes = InFlightHashes::default();
        let (waiter, _first) = oneshot::channel();
        let run = Run::InFlight(1, vec![waiter]);
        hashes.lock().runs.insert(run_id(), run);
        for _ in 0..1000 {
            let mut context = Context::from_waker(Waker::noop());
            let verification = pin!(verify(&hashes, &hasher));
            assert!(verification.poll(&mut context).is_pending());
        }
        let all = hashes.lock();
        let Some(Run::InFlight(_, waiters)) = all.runs.get(&run_id()) else {
            panic!("the run is in flight");
        };
        assert!(waiters.len() < 10);
    }

    #[test]
    fn only_a_success_that_no_verification_received_is_kept() {
        let hashes = InFlightHashes::default();
        for result in [Ok(false), Err(HashError::Busy)] {
            complete_without_waiter(&hashes, result);
        }
        let (waiter, mut verification) = oneshot::channel();
        let run = Run::InFlight(1, vec![waiter]);
        hashes.lock().runs.insert(run_id(), run);
        drop(Completion {
            hashes: hashes.clone(),
            key: run_id(),
            number: 1,
            result: Ok(true),
        });
        assert!(matches!(verification.try_recv(), Ok(Some(Ok(true)))));
        assert!(hashes.lock().unclaimed.oldest_first.is_empty());
    }

    #[test]
    fn the_oldest_unclaimed_proof_is_forgotten_when_there_are_too_many() {
        let mut unclaimed = UnclaimedProofs::default();
        let key = |hash| {
            let hash = Fingerprint(hash);
            ProofId::new(id(), Proof { hash, ..proof() })
        };
        let count = MAX_UNCLAIMED as u64;
        for hash in 0..=count {
            unclaimed.insert(key(hash));
        }
        assert!(!unclaimed.take(&key(0)));
        assert!(unclaimed.take(&key(1)) && !unclaimed.take(&key(1)));
        assert!(unclaimed.take(&key(count)));
        assert_eq!(unclaimed.oldest_first.len(), MAX_UNCLAIMED);
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
