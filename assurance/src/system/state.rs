//! The state of the system under test.

use std::collections::BTreeMap;

use keywright_core::{Caller, Issued, KeyId};

use super::{backend::Backend, convert, marker::Marker, process::Process};
use crate::{
    action::Slot,
    inputs::{ManualClock, SequentialEntropy},
    model::{ListQuery, Number},
    vocabulary::PROCESSES,
};

/// A key, as its owner keeps it.
pub(super) struct OwnedKey {
    pub(super) id: KeyId,
    pub(super) token: String,
    /// The key as a caller, in the state in which it was created. It is not verified again before
    /// it is used.
    pub(super) caller: Caller,
}

/// A cursor that a list returned.
pub(super) struct ListCursor {
    pub(super) query: ListQuery,
    pub(super) after: KeyId,
    pub(super) text: String,
}

/// The system under test: two processes over one store.
#[expect(missing_debug_implementations, reason = "it holds tokens")]
pub struct System<B> {
    pub(super) backend: B,
    pub(super) clock: ManualClock,
    pub(super) entropy: SequentialEntropy,
    pub(super) processes: [Process; PROCESSES],
    pub(super) marker: Marker,
    pub(super) owned: Vec<OwnedKey>,
    pub(super) slots: BTreeMap<Slot, Number>,
    pub(super) cursors: Vec<ListCursor>,
}

impl<B: Backend> System<B> {
    /// Starts two processes over a new store.
    #[must_use]
    pub fn new(backend: B) -> Self {
        let clock = ManualClock::new();
        let entropy = SequentialEntropy::default();
        let processes = [(); PROCESSES].map(|()| Process::start(&backend, &clock, &entropy));
        Self {
            marker: Marker::create(&processes[0]),
            backend,
            clock,
            entropy,
            processes,
            owned: Vec::new(),
            slots: BTreeMap::new(),
            cursors: Vec::new(),
        }
    }

    /// Waits until a process has seen all changes of the other process.
    pub(super) fn catch_up(&mut self, process: usize) {
        if std::mem::take(&mut self.processes[process].behind) {
            let [from, to] = [1 - process, process].map(|index| &self.processes[index]);
            self.marker
                .propagate(from, to, self.backend.staleness_bound());
        }
    }

    /// Adds a key that was just created, and puts it into a slot.
    pub(super) fn add(&mut self, into: Slot, issued: &Issued) {
        self.slots.insert(into, self.owned.len());
        self.owned.push(OwnedKey {
            id: issued.key.id,
            token: issued.token.expose().to_owned(),
            caller: Caller::from(&issued.key),
        });
    }

    /// The id of the key in a slot, or an unknown id if the slot is empty.
    pub(super) fn id(&self, slot: Slot) -> KeyId {
        self.slots
            .get(&slot)
            .map_or_else(convert::unknown_id, |number| self.owned[*number].id)
    }
}
