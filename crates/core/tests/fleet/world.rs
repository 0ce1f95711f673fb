//! The state that the processes of a simulation share: the store, the keys, and the check of each
//! verification.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    KeyId,
    costs::Costs,
    parameters::{Fault, Feed, Parameters},
    process::Process,
    random::Random,
    store::Database,
    verifier::Decided,
};

/// The number of keys that are not revoked. They are few, so that a process has a copy of almost
/// every key that is revoked.
pub(crate) const KEYS: usize = 5;

/// The counts of a simulation.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    pub(crate) in_memory: u64,
    pub(crate) in_store: u64,
    /// Verifications without a decision: the store could not be reached.
    pub(crate) undecided: u64,
    pub(crate) revocations: u32,
    /// Verifications that accepted a key although they began after the bound.
    pub(crate) violations: u64,
    /// The longest time after the acknowledgement of a revocation at which a verification began
    /// that still accepted the key.
    pub(crate) worst: Duration,
    /// How many records the store has read.
    pub(crate) reads: u32,
    /// How long the store has worked.
    pub(crate) worked: Duration,
}

pub(crate) struct World {
    pub(crate) feed: Feed,
    fault: Option<Fault>,
    pub(crate) random: Random,
    pub(crate) database: Database,
    keys: RefCell<Vec<KeyId>>,
    /// When the revocation of a key was acknowledged, and to which process.
    acknowledged: RefCell<HashMap<KeyId, (Instant, Weak<Process>)>>,
    outcome: RefCell<Outcome>,
}

impl World {
    pub(crate) fn new(parameters: Parameters) -> Self {
        let Parameters { feed, fault, .. } = parameters;
        let world = Self {
            feed,
            fault,
            random: Random::new(),
            database: Database::new(Costs::of(feed), feed),
            keys: RefCell::default(),
            acknowledged: RefCell::default(),
            outcome: RefCell::default(),
        };
        world
            .keys
            .replace((0..KEYS).map(|_| world.create()).collect());
        world
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns the key of a token that a client presents.
    pub(crate) fn some_key(&self) -> KeyId {
        let keys = self.keys.borrow();
        keys[self.random.below(keys.len())]
    }

    /// Replaces a key by a new one, and returns it.
    pub(crate) fn retire(&self) -> KeyId {
        let new = self.create();
        let mut keys = self.keys.borrow_mut();
        let index = self.random.below(keys.len());
        std::mem::replace(&mut keys[index], new)
    }

    fn create(&self) -> KeyId {
        let digits: String = (0..8)
            .map(|_| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUV"[self.random.below(32)]))
            .collect();
        let id = KeyId::parse(&format!("key_0U5lKtf6{digits}")).unwrap();
        self.database.insert(id);
        id
    }

    /// Records that a revocation was acknowledged to this process.
    pub(crate) fn acknowledge(&self, process: &Rc<Process>, id: KeyId) {
        self.outcome.borrow_mut().revocations += 1;
        let acknowledged = (Instant::now(), Rc::downgrade(process));
        self.acknowledged.borrow_mut().insert(id, acknowledged);
    }

    /// Checks a verification against the revocations that were acknowledged before it began.
    pub(crate) fn observe(
        &self,
        process: &Rc<Process>,
        id: &KeyId,
        began: Instant,
        decided: Option<(bool, Decided)>,
    ) {
        let mut outcome = self.outcome.borrow_mut();
        let is_accepted = match decided {
            Some((is_accepted, Decided::InMemory)) => {
                outcome.in_memory += 1;
                is_accepted
            }
            Some((is_accepted, Decided::InStore)) => {
                outcome.in_store += 1;
                is_accepted
            }
            None => {
                outcome.undecided += 1;
                false
            }
        };
        let acknowledged = self.acknowledged.borrow();
        let Some((at, to)) = acknowledged
            .get(id)
            .filter(|(at, _)| *at <= began && is_accepted)
        else {
            return;
        };
        let is_own = to.upgrade().is_some_and(|to| Rc::ptr_eq(&to, process));
        let late = began.duration_since(*at);
        if is_own || late >= self.feed.bound() {
            outcome.violations += 1;
        }
        outcome.worst = outcome.worst.max(late);
    }

    /// Returns what happened so far.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            reads: self.database.reads(),
            worked: self.database.worked(),
            ..self.outcome.take()
        }
    }
}
