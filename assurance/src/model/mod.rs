//! The reference: what each call must answer, worked out by the plainest means.
//!
//! Keys are numbered in the order in which they are made, since their ids are random. Nothing here is
//! fast, and nothing is shared with the code under test but a few plain types.

mod answer;
mod change;
mod issue;
mod key;
mod look;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

pub use self::{
    answer::{Answer, Query, Refusal, Verdict},
    key::Key,
    uses::Uses,
};
use self::{
    issue::{Binding, Scope},
    key::{Asker, Caller},
};
use crate::{
    act::{Act, Slot, Step, Who},
    words::{HOSTS, START},
};

/// Unix milliseconds.
pub type Millis = i64;

/// A key, by the order in which keys were made.
pub type Number = usize;

/// All that a service over one store knows.
#[derive(Clone, Debug)]
pub struct Model {
    now: Millis,
    /// Those whose records are there.
    keys: BTreeMap<Number, Key>,
    /// How many were ever made.
    made: usize,
    slots: BTreeMap<Slot, Number>,
    /// What idempotency keys are bound to.
    bindings: BTreeMap<Scope, Binding>,
    uses: Uses,
    answer: Answer,
}

impl Model {
    /// A service without any key.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: START,
            keys: BTreeMap::new(),
            made: 0,
            slots: BTreeMap::new(),
            bindings: BTreeMap::new(),
            uses: Uses::default(),
            answer: Answer::Nothing,
        }
    }

    /// Does what a call asks for, and notes what it must answer.
    pub fn apply(&mut self, step: &Step) {
        let answer = self.act(step.at, &step.act);
        self.answer = answer.unwrap_or_else(Answer::Refused);
    }

    /// What the last call must have answered.
    #[must_use]
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// What time it is.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// The key of a number, unless its record was deleted.
    #[must_use]
    pub fn key(&self, number: Number) -> Option<&Key> {
        self.keys.get(&number)
    }

    /// All keys whose records are there.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// The names that keys have, also those whose records were deleted.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.slots.keys().copied()
    }

    /// How many keys were ever made.
    #[must_use]
    pub const fn made(&self) -> usize {
        self.made
    }

    /// When keys were used.
    #[must_use]
    pub const fn uses(&self) -> &Uses {
        &self.uses
    }

    fn act(&mut self, at: usize, act: &Act) -> Result<Answer, Refusal> {
        match act {
            Act::Create {
                by,
                into,
                new,
                once,
            } => match self.asker(*by) {
                Some(asker) => self.create(asker, *into, new, *once),
                None => Ok(Answer::Nothing),
            },
            Act::Rotate {
                by,
                key,
                into,
                overlap,
                end,
                once,
            } => match self.asker(*by) {
                Some(asker) => self.rotate(asker, *key, *into, (*overlap, *end), *once),
                None => Ok(Answer::Nothing),
            },
            Act::Rename {
                by,
                key,
                name,
                metadata,
            } => match self.asker(*by) {
                Some(asker) => self.rename(asker, *key, *name, *metadata),
                None => Ok(Answer::Nothing),
            },
            Act::Revoke { by, key, reach } => match self.asker(*by) {
                Some(asker) => self.revoke(asker, *key, *reach),
                None => Ok(Answer::Nothing),
            },
            Act::Find { by, key } => match self.asker(*by) {
                Some(asker) => self.find(asker, *key),
                None => Ok(Answer::Nothing),
            },
            Act::List {
                by, status, search, ..
            } => match self.asker(*by) {
                Some(asker) => self.list(asker, *status, *search),
                None => Ok(Answer::Nothing),
            },
            Act::Verify(token) => {
                let verdict = self.verify(at, *token);
                Ok(Answer::Verified(verdict))
            }
            Act::Introspect { by, token } => match self.asker(*by) {
                Some(asker) => self.introspect(at, asker, *token),
                None => Ok(Answer::Nothing),
            },
            Act::Purge { workspace, age } => Ok(self.purge(*workspace, *age)),
            Act::First => Ok(Answer::NotFirst),
            Act::Flush => {
                self.uses.write(at);
                Ok(Answer::Nothing)
            }
            Act::Reopen { all, .. } => {
                self.uses.forget(at);
                if *all {
                    self.uses.forget(1 - at);
                }
                Ok(Answer::Nothing)
            }
            Act::Wait(millis) => {
                self.now += millis;
                Ok(Answer::Nothing)
            }
        }
    }

    /// Who calls; `None` if there never was such a key.
    fn asker(&self, who: Who) -> Option<Asker> {
        match who {
            Who::Host(number) => Some(Asker::Host(number)),
            Who::Key(slot) => self.slots.get(&slot).copied().map(Asker::Key),
        }
    }

    /// The caller as it is now. One whose time is over may do nothing at all.
    fn current(&self, asker: Asker) -> Result<Caller, Refusal> {
        let caller = match asker {
            Asker::Host(number) => Caller::of_host(&HOSTS[number]),
            Asker::Key(number) => match self.keys.get(&number) {
                Some(key) if key.is_active(self.now) => Caller::of_key(key),
                _ => return Err(Refusal::CallerInactive),
            },
        };
        if caller.ends.is_some_and(|end| end <= self.now) {
            return Err(Refusal::CallerInactive);
        }
        Ok(caller)
    }

    /// The same, if it may do this.
    fn permitted(&self, asker: Asker, permission: &str) -> Result<Caller, Refusal> {
        let caller = self.current(asker)?;
        if caller.may(permission) {
            Ok(caller)
        } else {
            Err(Refusal::NotPermitted)
        }
    }

    /// The number of a key that the caller sees.
    fn visible(&self, caller: &Caller, slot: Slot) -> Result<Number, Refusal> {
        let number = self.slots.get(&slot).ok_or(Refusal::NotFound)?;
        let key = self.keys.get(number).ok_or(Refusal::NotFound)?;
        if caller.sees(key) {
            Ok(*number)
        } else {
            Err(Refusal::NotFound)
        }
    }

    /// The same, of one that is not revoked.
    fn changeable(&self, caller: &Caller, slot: Slot) -> Result<Number, Refusal> {
        let number = self.visible(caller, slot)?;
        if self.keys[&number].revoked_at.is_some() {
            return Err(Refusal::NotFound);
        }
        Ok(number)
    }

    /// A key and all that it created or was rotated into, and they in turn.
    fn family(&self, top: Number) -> BTreeSet<Number> {
        let mut family = BTreeSet::from([top]);
        loop {
            let before = family.len();
            for (number, key) in &self.keys {
                if key.parent.is_some_and(|parent| family.contains(&parent)) {
                    family.insert(*number);
                }
                if family.contains(number) {
                    family.extend(key.successor);
                }
            }
            if family.len() == before {
                return family;
            }
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
