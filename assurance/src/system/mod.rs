//! The service itself, in two processes over one store, held against the reference call by call.

mod calls;
mod check;
mod memory;
mod process;
mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use keywright_core::{Caller, Issued, Key, KeyId, KeyStore};

pub use self::memory::Memory;
use self::{
    process::{First, Process},
    world::{Counter, Hand},
};
use crate::{
    act::{Act, Slot, Step},
    model::{Model, Number, Query},
    words::HANDLES,
};

/// Where a store comes from.
pub trait Stage {
    /// Another handle of the same store, as another process has one. A store that lives in one process
    /// gives the same again.
    fn open(&self) -> Arc<dyn KeyStore>;

    /// How long after a change is acknowledged another handle may still act on what was before.
    fn bound(&self) -> Duration;
}

/// A key as its owner knows it.
struct Owned {
    id: KeyId,
    token: String,
    /// What the key was as a caller when it was made: nobody verifies it again before it is used.
    caller: Caller,
}

/// A cursor that a list gave.
struct Cursor {
    query: Query,
    after: KeyId,
    text: String,
}

/// The service.
#[expect(missing_debug_implementations, reason = "it holds tokens")]
pub struct System<S> {
    stage: S,
    clock: Hand,
    entropy: Counter,
    processes: [Process; HANDLES],
    first: First,
    owned: Vec<Owned>,
    slots: BTreeMap<Slot, Number>,
    cursors: Vec<Cursor>,
}

impl<S: Stage> System<S> {
    /// Two processes over a new store.
    #[must_use]
    pub fn new(stage: S) -> Self {
        let clock = Hand::new();
        let entropy = Counter::default();
        let processes = [(); HANDLES].map(|()| Process::start(&stage, &clock, &entropy));
        Self {
            first: First::make(&processes[0]),
            stage,
            clock,
            entropy,
            processes,
            owned: Vec::new(),
            slots: BTreeMap::new(),
            cursors: Vec::new(),
        }
    }

    /// Makes a call and holds the answer against the reference, which has made it before.
    ///
    /// # Panics
    ///
    /// Where they differ.
    pub fn step(&mut self, step: &Step, model: &Model) {
        self.catch_up(step.at);
        match &step.act {
            Act::Reopen { all, argon2 } => {
                // What a process leaves behind is there before another one begins.
                let gone: Vec<_> = if *all { vec![0, 1] } else { vec![step.at] };
                for at in &gone {
                    self.processes[*at].end();
                }
                for at in &gone {
                    self.processes[*at].begin(&self.stage, &self.clock, &self.entropy, *argon2);
                }
            }
            Act::Wait(_) => self.clock.set(model.now()),
            act => self.call(step.at, act, model),
        }
        if act_changes(&step.act) {
            self.processes[1 - step.at].behind = true;
        }
    }

    /// Waits until a process knows what the other one has changed.
    fn catch_up(&mut self, at: usize) {
        if std::mem::take(&mut self.processes[at].behind) {
            let [from, to] = [1 - at, at].map(|at| &self.processes[at]);
            self.first.pass(from, to, self.stage.bound());
        }
    }

    /// Takes in a key that was just made.
    fn own(&mut self, into: Slot, issued: &Issued) {
        self.slots.insert(into, self.owned.len());
        self.owned.push(Owned {
            id: issued.key.id,
            token: issued.token.expose().to_owned(),
            caller: Caller::from(&issued.key),
        });
    }

    fn id(&self, slot: Slot) -> KeyId {
        self.slots
            .get(&slot)
            .map_or_else(world::unknown_id, |number| self.owned[*number].id)
    }

    /// That a key is what the reference says, also when it was last used.
    fn assert_is(&self, at: usize, key: &Key, number: Number, model: &Model) {
        let expected = check::key(&self.owned, number, model);
        let mut shown = key.clone();
        shown.last_used_at = None;
        assert_eq!(shown, expected);
        let used = key.last_used_at.map(|time| time.as_millis());
        let (earliest, latest) = model.uses().shown(at, number);
        assert!(
            earliest <= used && used <= latest,
            "last used at {used:?}, not from {earliest:?} to {latest:?}: {key:?}"
        );
    }
}

/// Whether other processes must hear of it.
const fn act_changes(act: &Act) -> bool {
    match act {
        Act::Create { .. }
        | Act::Rotate { .. }
        | Act::Rename { .. }
        | Act::Revoke { .. }
        | Act::Purge { .. }
        | Act::Flush
        | Act::Reopen { .. } => true,
        Act::Find { .. }
        | Act::List { .. }
        | Act::Verify(_)
        | Act::Introspect { .. }
        | Act::First
        | Act::Wait(_) => false,
    }
}
