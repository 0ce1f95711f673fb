//! A simulation: its parameters, its course and its outcome.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
    time::{Instant, sleep},
};

use crate::{
    KeyId,
    process::{Process, Running},
    random::Random,
    store::{Costs, Database},
    verifier::Decided,
};

/// How processes learn of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    /// Each process polls, as with PostgreSQL.
    Polls,
    /// The store pushes, as Redis does.
    Pushes,
}

/// A fault that is planted to show that the simulation detects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    ExtendedFromReply,
    NothingStaleAfterReconnect,
    OwnCopyStaysFresh,
}

/// Something that happens to a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Its messages are lost.
    Cut,
    /// Its messages take long.
    SlowLink,
    /// It is suspended.
    Suspension,
    /// It is killed, and another one starts.
    Restart,
}

impl Trouble {
    pub(crate) const ALL: &'static [Self] =
        &[Self::Cut, Self::SlowLink, Self::Suspension, Self::Restart];
}

/// The mean time between two troubles of a process, and the mean time that one lasts.
const CALM: Duration = Duration::from_secs(2);
const TROUBLED: Duration = Duration::from_secs(1);

/// The parameters of a simulation.
#[derive(Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) feed: Feed,
    pub(crate) processes: usize,
    pub(crate) revocations_a_second: u32,
    /// What happens to processes besides their work.
    pub(crate) troubles: &'static [Trouble],
    pub(crate) fault: Option<Fault>,
}

/// How long a simulation lasts.
pub(crate) const SPAN: Duration = Duration::from_secs(5);

/// The number of keys that are not revoked.
const KEYS: usize = 20;

/// The number of revoked keys that clients still present.
const REVOKED: usize = 20;

/// What happened in a simulation.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    pub(crate) in_memory: u64,
    pub(crate) in_store: u64,
    /// Verifications without a decision: the store could not be reached.
    pub(crate) failed: u64,
    pub(crate) revocations: u64,
    /// Verifications that accepted a key although they began after the bound.
    pub(crate) violations: u64,
    /// The longest time after the acknowledgement of a revocation at which a verification began
    /// that still accepted the key.
    pub(crate) worst: Duration,
    /// How long the store has worked.
    pub(crate) worked: Duration,
}

/// Everything that the processes share.
pub(crate) struct World {
    pub(crate) feed: Feed,
    fault: Option<Fault>,
    pub(crate) random: Random,
    pub(crate) database: Database,
    keys: RefCell<Vec<KeyId>>,
    revoked: RefCell<VecDeque<KeyId>>,
    /// When the revocation of a key was acknowledged, and by which process.
    acknowledged: RefCell<HashMap<KeyId, (Instant, Weak<Process>)>>,
    outcome: RefCell<Outcome>,
}

impl World {
    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns the key of a token that a client presents: for some, one that was revoked lately.
    pub(crate) fn presented(&self) -> KeyId {
        let revoked = self.revoked.borrow();
        if !revoked.is_empty() && self.random.chance(0.2) {
            return revoked[self.random.below(revoked.len())];
        }
        let keys = self.keys.borrow();
        keys[self.random.popular_below(keys.len())]
    }

    /// Replaces a key by a new one, and returns it. Clients still present it.
    fn retire(&self) -> KeyId {
        let mut keys = self.keys.borrow_mut();
        let place = self.random.popular_below(keys.len());
        let new = self.created();
        let id = std::mem::replace(&mut keys[place], new);
        let mut revoked = self.revoked.borrow_mut();
        revoked.push_back(id);
        if revoked.len() > REVOKED {
            revoked.pop_front();
        }
        id
    }

    /// Creates a key.
    fn created(&self) -> KeyId {
        let digits: String = (0..8)
            .map(|_| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUV"[self.random.below(32)]))
            .collect();
        let id = KeyId::parse(&format!("key_0U5lKtf6{digits}")).unwrap();
        self.database.insert(id);
        id
    }

    /// Records that a revocation was acknowledged.
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
                outcome.failed += 1;
                false
            }
        };
        let acknowledged = self.acknowledged.borrow();
        let Some((at, by)) = acknowledged
            .get(id)
            .filter(|(at, _)| *at <= began && is_accepted)
        else {
            return;
        };
        let is_own = by.upgrade().is_some_and(|by| Rc::ptr_eq(&by, process));
        let late = began.duration_since(*at);
        if is_own || late >= self.feed.bound() {
            outcome.violations += 1;
        }
        outcome.worst = outcome.worst.max(late);
    }
}

/// The fleet of processes.
struct Fleet {
    world: Rc<World>,
    running: RefCell<Vec<Running>>,
}

impl Fleet {
    fn some_process(&self) -> Rc<Process> {
        let running = self.running.borrow();
        Rc::clone(&running[self.world.random.below(running.len())].process)
    }

    /// Revokes keys for ever.
    async fn revoke(self: Rc<Self>, a_second: u32) {
        loop {
            sleep(self.world.random.around(Duration::from_secs(1) / a_second)).await;
            let id = self.world.retire();
            spawn_local(self.some_process().revoke(id));
        }
    }

    /// Troubles processes for ever.
    async fn trouble(self: Rc<Self>, troubles: &'static [Trouble]) {
        let random = &self.world.random;
        loop {
            let count = u32::try_from(self.running.borrow().len()).unwrap();
            sleep(random.around(CALM / count)).await;
            let span = random.around(TROUBLED);
            let process = self.some_process();
            match troubles[random.below(troubles.len())] {
                Trouble::Cut => process.link.cut(span),
                Trouble::SlowLink => {
                    process.link.set_slow(true);
                    spawn_local(async move {
                        sleep(4 * span).await;
                        process.link.set_slow(false);
                    });
                }
                Trouble::Suspension => process.suspend(span),
                Trouble::Restart => {
                    let started = Running::start(&self.world);
                    let mut running = self.running.borrow_mut();
                    let place = random.below(running.len());
                    running[place] = started;
                }
            }
        }
    }
}

/// Runs a simulation.
pub(crate) fn run(parameters: Parameters) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, simulate(parameters))
}

async fn simulate(parameters: Parameters) -> Outcome {
    let costs = Costs {
        find: Duration::from_micros(10),
        change: Duration::from_micros(40),
        poll: Duration::from_micros(50),
        told: Duration::from_nanos(500),
    };
    let world = Rc::new(World {
        feed: parameters.feed,
        fault: parameters.fault,
        random: Random::new(1),
        database: Database::new(costs),
        keys: RefCell::default(),
        revoked: RefCell::default(),
        acknowledged: RefCell::default(),
        outcome: RefCell::default(),
    });
    let keys = (0..KEYS).map(|_| world.created()).collect();
    world.keys.replace(keys);
    let running = (0..parameters.processes).map(|_| Running::start(&world));
    let fleet = Rc::new(Fleet {
        running: RefCell::new(running.collect()),
        world: Rc::clone(&world),
    });
    spawn_local(Rc::clone(&fleet).revoke(parameters.revocations_a_second));
    if !parameters.troubles.is_empty() {
        spawn_local(Rc::clone(&fleet).trouble(parameters.troubles));
    }
    sleep(SPAN).await;
    let mut outcome = world.outcome.take();
    outcome.worked = world.database.worked();
    outcome
}
