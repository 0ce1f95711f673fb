//! Runs of Argon2 that are under way: one for each question, whoever asks it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_channel::oneshot;

use super::proof::{Fingerprint, TokenMac};
use crate::{
    HashError, KeyId,
    hash::{Binding, Hasher, StoredHash},
    token::Secret,
};

/// Whether this token's secret belongs to this hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    id: KeyId,
    token: [u64; 2],
    hash: Fingerprint,
}

type Answer = Result<bool, HashError>;

/// The questions that are being answered, and who waits for the answers. A run belongs to nobody: it
/// goes on as long as anybody waits, and its place in the queue is given up only when it ends.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    flights: HashMap<Question, Flight>,
    runs: u64,
}

enum Flight {
    /// A run of this number is to answer these.
    Running(u64, Vec<oneshot::Sender<Answer>>),
    /// It is known already.
    Proven,
}

/// A question that counts as proven as long as this lives.
pub(super) struct Assumed {
    flights: Flights,
    question: Question,
}

impl Drop for Assumed {
    fn drop(&mut self) {
        self.flights.all().flights.remove(&self.question);
    }
}

/// Sees to it that nobody waits for a run that has ended, however it has.
struct Landing {
    flights: Flights,
    question: Question,
    run: u64,
    answer: Answer,
}

impl Landing {
    fn with(mut self, answer: Answer) {
        self.answer = answer;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        for caller in self.flights.all().land(&self.question, self.run) {
            let _ = caller.send(self.answer.clone());
        }
    }
}

impl All {
    /// Ends a run: those who wait for it.
    fn land(&mut self, question: &Question, run: u64) -> Vec<oneshot::Sender<Answer>> {
        match self.flights.remove(question) {
            Some(Flight::Running(number, waiting)) if number == run => waiting,
            Some(other) => {
                self.flights.insert(*question, other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Whether anybody still waits for a run; if nobody does, it is ended.
    fn is_awaited(&mut self, question: &Question, run: u64) -> bool {
        let awaited = match self.flights.get(question) {
            Some(Flight::Running(number, waiting)) => {
                *number == run && waiting.iter().any(|caller| !caller.is_canceled())
            }
            _ => false,
        };
        if !awaited {
            self.land(question, run);
        }
        awaited
    }
}

impl Flights {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the secret of a token belongs to an Argon2 hash, by a run of its own or by one that is
    /// under way.
    pub(super) async fn prove(
        &self,
        hasher: &Hasher,
        (id, token, fingerprint): (KeyId, TokenMac, Fingerprint),
        hash: &StoredHash,
        binding: Binding,
        secret: &[u8; Secret::LENGTH],
    ) -> Answer {
        let question = Question {
            id,
            token: token.as_words(),
            hash: fingerprint,
        };
        let (caller, answer) = oneshot::channel();
        let new_run = {
            let mut all = self.all();
            match all.flights.get_mut(&question) {
                Some(Flight::Proven) => return Ok(true),
                Some(Flight::Running(_, waiting)) => {
                    waiting.push(caller);
                    None
                }
                None => {
                    all.runs += 1;
                    let run = all.runs;
                    all.flights
                        .insert(question, Flight::Running(run, vec![caller]));
                    Some(run)
                }
            }
        };
        if let Some(run) = new_run {
            self.take_off(hasher, (question, run), hash, binding, secret)?;
        }
        answer
            .await
            .unwrap_or_else(|_| Err(HashError::failed("the run was lost")))
    }

    fn take_off(
        &self,
        hasher: &Hasher,
        (question, run): (Question, u64),
        hash: &StoredHash,
        binding: Binding,
        secret: &[u8; Secret::LENGTH],
    ) -> Result<(), HashError> {
        let flights = self.clone();
        let landing = Landing {
            flights: self.clone(),
            question,
            run,
            answer: Err(HashError::failed("the run was lost")),
        };
        let wanted = move || flights.all().is_awaited(&question, run);
        // Where it is refused, the landing is dropped with the job: whoever else has come to wait
        // meanwhile is told that the run was lost, and this caller why.
        hasher.submit(hash, binding, secret, wanted, move |answer| {
            landing.with(answer);
        })
    }

    /// Lets a question count as proven where that is known otherwise.
    pub(super) fn assume(&self, id: KeyId, token: TokenMac, hash: Fingerprint) -> Assumed {
        let question = Question {
            id,
            token: token.as_words(),
            hash,
        };
        self.all().flights.insert(question, Flight::Proven);
        Assumed {
            flights: self.clone(),
            question,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> KeyId {
        KeyId::parse("key_0U5lKtf600000000").unwrap()
    }

    fn question() -> Question {
        Question {
            id: id(),
            token: [1, 2],
            hash: Fingerprint(3),
        }
    }

    #[test]
    fn what_is_assumed_counts_as_proven_and_no_longer() {
        let flights = Flights::default();
        let assumed = flights.assume(id(), TokenMac::new([1, 2]), Fingerprint(3));
        assert!(matches!(
            flights.all().flights.get(&question()),
            Some(Flight::Proven)
        ));
        drop(assumed);
        assert!(flights.all().flights.is_empty());
    }

    #[test]
    fn a_run_ends_itself_and_no_later_one_of_the_same_question() {
        let mut all = All::default();
        let (caller, _answer) = oneshot::channel();
        all.flights
            .insert(question(), Flight::Running(2, vec![caller]));
        assert!(!all.is_awaited(&question(), 1));
        assert!(all.land(&question(), 1).is_empty());
        assert!(all.is_awaited(&question(), 2));
        assert_eq!(all.land(&question(), 2).len(), 1);
        assert!(!all.is_awaited(&question(), 2));
        assert!(all.flights.is_empty());
    }
}
