//! The state of the system under test.

use std::collections::BTreeMap;

use futures_executor::block_on;
use keywright_core::{
    Caller, EventId, EventPosition, Issued, KeyId,
    store::{Credential, Record},
};

use super::{backend::Backend, convert, marker::Marker, process::Process};
use crate::{
    action::Slot,
    inputs::{ManualClock, SequentialEntropy, start_time},
    model::{EventQuery, ListQuery, Number},
    vocabulary::{PROCESSES, WORKSPACES},
};

/// A key, as its owner keeps it.
pub(super) struct OwnedKey {
    pub(super) id: KeyId,
    pub(super) token: String,
    /// The key as a caller, in the state in which it was created or last verified. It is not
    /// verified again before it is used.
    pub(super) caller: Caller,
    /// The record when a call last returned its version.
    pub(super) read: ReadRecord,
}

/// The version of a record that a call returned.
pub(super) struct ReadRecord {
    pub(super) version: u64,
    /// The hash of the record with this version. A verification may replace it at any time, which
    /// also changes the version.
    pub(super) credential: Credential,
    /// The number of changes that the model had counted.
    pub(super) changes: u64,
}

/// A cursor that a list returned.
pub(super) struct ListCursor {
    pub(super) query: ListQuery,
    pub(super) after: KeyId,
    pub(super) text: String,
}

/// A cursor that a list of events returned.
pub(super) struct EventCursor {
    pub(super) query: EventQuery,
    pub(super) after: EventId,
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
    pub(super) event_cursors: Vec<EventCursor>,
    /// The ids of all events that were ever appended, by their numbers.
    pub(super) event_ids: Vec<EventId>,
    /// The position of a reader of the events of each workspace.
    pub(super) positions: [EventPosition; WORKSPACES.len()],
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
            event_cursors: Vec::new(),
            event_ids: Vec::new(),
            positions: WORKSPACES.map(|_| EventPosition::since(start_time())),
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
    pub(super) fn add(&mut self, process: usize, into: Slot, issued: &Issued) {
        let Record {
            version,
            credential,
            ..
        } = self.record(process, &issued.key.id);
        assert_eq!(version, 1);
        self.slots.insert(into, self.owned.len());
        self.owned.push(OwnedKey {
            id: issued.key.id,
            token: issued.token.expose().to_owned(),
            caller: Caller::from(&issued.key),
            read: ReadRecord {
                version,
                credential,
                changes: 0,
            },
        });
    }

    /// Reads the record of a key from the store.
    pub(super) fn record(&self, process: usize, id: &KeyId) -> Record {
        let found = block_on(self.processes[process].store().find(id));
        found.expect("the store works").expect("the key exists")
    }

    /// The id of the key in a slot, or an unknown id if the slot is empty.
    pub(super) fn id(&self, slot: Slot) -> KeyId {
        self.slots
            .get(&slot)
            .map_or_else(convert::unknown_id, |number| self.owned[*number].id)
    }
}
