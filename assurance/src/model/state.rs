//! The state of the model, and the checks that its calls share.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    addresses,
    caller::{Access, Caller, Principal},
    event::{Event, EventNumber},
    idempotency::{Binding, Scope},
    key::{Key, Millis, Number},
    last_used::LastUsed,
    outcome::{CallOutcome, Rejection},
};
use crate::{
    action::{Actor, Slot},
    vocabulary::{HOSTS, PROCESSES, START},
};

/// The state of a service over one store.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) now: Millis,
    /// The keys whose records exist.
    pub(super) keys: BTreeMap<Number, Key>,
    /// The number of keys that were ever created.
    pub(super) created: usize,
    pub(super) slots: BTreeMap<Slot, Number>,
    /// The keys as callers, in the state in which they were created or last verified.
    pub(super) callers: BTreeMap<Number, Caller>,
    /// How often each key had been changed when a call last returned its version.
    pub(super) read: BTreeMap<Number, u64>,
    /// Whether each process limits the lifetime of keys.
    pub(super) limited: [bool; PROCESSES],
    pub(super) bindings: BTreeMap<Scope, Binding>,
    pub(super) last_used: LastUsed,
    /// The events that were not deleted.
    pub(super) events: BTreeMap<EventNumber, Event>,
    /// The number of events that were ever appended.
    pub(super) appended: usize,
    /// The number of calls that were made.
    pub(super) calls: usize,
    /// The expected outcome of the last call.
    pub(super) expected: CallOutcome,
}

impl Model {
    /// Creates a service without keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: START,
            keys: BTreeMap::new(),
            created: 0,
            slots: BTreeMap::new(),
            callers: BTreeMap::new(),
            read: BTreeMap::new(),
            limited: [false; PROCESSES],
            bindings: BTreeMap::new(),
            last_used: LastUsed::default(),
            events: BTreeMap::new(),
            appended: 0,
            calls: 0,
            expected: CallOutcome::Nothing,
        }
    }

    /// The expected outcome of the last call.
    #[must_use]
    pub const fn expected(&self) -> &CallOutcome {
        &self.expected
    }

    /// The current time.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// The key with this number, unless its record was deleted.
    #[must_use]
    pub fn key(&self, number: Number) -> Option<&Key> {
        self.keys.get(&number)
    }

    /// All keys whose records exist.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// The slots in use, including those of keys whose records were deleted.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.slots.keys().copied()
    }

    /// The number of the key in a slot, even if its record was deleted.
    #[must_use]
    pub fn number(&self, slot: Slot) -> Option<Number> {
        self.slots.get(&slot).copied()
    }

    /// The number of keys that were ever created.
    #[must_use]
    pub const fn created(&self) -> usize {
        self.created
    }

    /// When keys were last used.
    #[must_use]
    pub const fn last_used(&self) -> &LastUsed {
        &self.last_used
    }

    /// Resolves the caller of an action. Returns `None` if its slot is empty.
    pub(super) fn principal(&self, actor: Actor) -> Option<Principal> {
        match actor {
            Actor::Host(number) => Some(Principal::Host(number)),
            Actor::Key(slot) => self.slots.get(&slot).copied().map(Principal::Key),
        }
    }

    /// Returns the caller in its current state, or rejects it if it is revoked, is paused or has
    /// expired.
    pub(super) fn current(&self, principal: Principal) -> Result<Caller, Rejection> {
        let caller = match principal {
            Principal::Host(number) => Caller::of_host(&HOSTS[number]),
            Principal::Key(number) => match self.keys.get(&number) {
                Some(key) if key.is_active(self.now) => {
                    if let (Some(allowed), Some(from)) = (key.allowed_ips, self.request().from)
                        && !addresses::contains(allowed, from)
                    {
                        return Err(Rejection::CallerAddress);
                    }
                    self.callers[&number].narrowed_to(key)
                }
                _ => return Err(Rejection::CallerInactive),
            },
        };
        if caller.expires_at.is_some_and(|end| end <= self.now) {
            return Err(Rejection::CallerInactive);
        }
        Ok(caller)
    }

    /// Returns the keys on which the caller has a right, for a call on the key in a slot. With
    /// `itself`, a key needs no right to make this call on itself.
    pub(super) fn access_to(
        &self,
        principal: Principal,
        caller: &Caller,
        right: &str,
        slot: Slot,
        itself: bool,
    ) -> Result<Access, Rejection> {
        let is_itself = principal.key().is_some() && principal.key() == self.number(slot);
        if is_itself && itself {
            Ok(Access::All)
        } else {
            caller.access(right)
        }
    }

    /// Returns the number of the key in a slot if the caller sees that key.
    pub(super) fn visible(
        &self,
        caller: &Caller,
        access: Access,
        slot: Slot,
    ) -> Result<Number, Rejection> {
        let number = self.slots.get(&slot).ok_or(Rejection::NotFound)?;
        let key = self.keys.get(number).ok_or(Rejection::NotFound)?;
        if caller.sees(access, key) {
            Ok(*number)
        } else {
            Err(Rejection::NotFound)
        }
    }

    /// Returns the number of the key in a slot if the caller sees that key and it is not revoked.
    pub(super) fn changeable(
        &self,
        caller: &Caller,
        access: Access,
        slot: Slot,
    ) -> Result<Number, Rejection> {
        let number = self.visible(caller, access, slot)?;
        if self.keys[&number].revoked_at.is_some() {
            return Err(Rejection::NotFound);
        }
        Ok(number)
    }

    /// Returns a key with its descendants. The descendants of a key are its successor, the keys
    /// that it created, the keys that it received by rotating another, and their descendants.
    pub(super) fn with_descendants(&self, root: Number) -> BTreeSet<Number> {
        let mut found = BTreeSet::from([root]);
        loop {
            let before = found.len();
            for (number, key) in &self.keys {
                if found.iter().any(|receiver| key.was_received_by(*receiver)) {
                    found.insert(*number);
                }
                if found.contains(number) {
                    found.extend(key.successor);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
