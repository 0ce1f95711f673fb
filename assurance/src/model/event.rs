//! The events of changes.

use std::collections::BTreeSet;

use keywright_core::{Environment, EventOrder};

use super::{
    caller::{Access, Principal},
    key::{Key, Millis, Number},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{
    action::{Actor, Slot},
    vocabulary::{ADDRESSES, HOSTS},
};

/// An event, identified by its position in the order of the changes.
pub type EventNumber = usize;

/// The properties of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The kind of a change.
    pub kind: EventKind,
    /// The time of the change.
    pub created_at: Millis,
    /// The workspace of the key.
    pub workspace: &'static str,
    /// The environment of the key.
    pub environment: Environment,
    /// The key that was changed.
    pub key: Number,
    /// The owner of the key.
    pub owner: Option<&'static str>,
    /// The party that made the change.
    pub actor: EventActor,
    /// The request that made the change.
    pub request: Request,
    /// The fields that changed.
    pub changes: Changes,
}

/// The kind of a change, with its details.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// The key was created.
    Created,
    /// The key was updated.
    Updated,
    /// The key was replaced with this key.
    Rotated(Number),
    /// Keys were revoked.
    Revoked {
        /// Whether the descendants were revoked as well.
        cascade: bool,
        /// The number of keys that were revoked.
        count: u64,
    },
}

/// The party that made a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventActor {
    /// A key and its owner.
    Key(Number, Option<&'static str>),
    /// A user whom the host has signed in, and who acts for this owner.
    Host(Option<&'static str>),
}

/// The request with which a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Its number. `None` if it has no id.
    pub number: Option<usize>,
    /// The address of its client.
    pub from: Option<&'static str>,
}

/// The values of a field before and after a change.
pub type Transition<T> = Option<(Option<T>, Option<T>)>;

/// The fields of a key that changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The name.
    pub name: Transition<&'static str>,
    /// The permissions.
    pub permissions: Transition<BTreeSet<&'static str>>,
    /// Whether the key is not paused.
    pub enabled: Transition<bool>,
    /// The expiry.
    pub expires_at: Transition<Millis>,
    /// The time of the revocation.
    pub revoked_at: Transition<Millis>,
    /// The allowed addresses.
    pub allowed_ips: Transition<&'static str>,
    /// Whether the metadata changed.
    pub metadata: bool,
    /// Whether the attributes changed.
    pub attributes: bool,
}

impl Changes {
    /// The changes between two states of a key, of which the first is `None` for a new key.
    fn between(before: Option<&Key>, after: &Key) -> Self {
        Self {
            name: transition(before.map(|key| key.name), Some(after.name)),
            permissions: transition(
                before.map(|key| key.permissions.clone()),
                Some(after.permissions.clone()),
            ),
            // A new key is not paused.
            enabled: transition(
                Some(before.is_none_or(|key| key.enabled)),
                Some(after.enabled),
            ),
            expires_at: transition(before.and_then(|key| key.expires_at), after.expires_at),
            revoked_at: transition(before.and_then(|key| key.revoked_at), after.revoked_at),
            allowed_ips: transition(before.and_then(|key| key.allowed_ips), after.allowed_ips),
            metadata: before.and_then(|key| key.metadata) != after.metadata,
            attributes: before.and_then(|key| key.attributes) != after.attributes,
        }
    }
}

fn transition<T: PartialEq>(before: Option<T>, after: Option<T>) -> Transition<T> {
    (before != after).then_some((before, after))
}

/// The parameters of a list of events. A cursor belongs to one such query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventQuery {
    /// The workspace.
    pub workspace: &'static str,
    /// The caller's environment.
    pub environment: Environment,
    /// Only events of this key, or of a key that does not exist.
    pub key: Option<Option<Number>>,
    /// Only events of keys of this owner.
    pub owner: Option<&'static str>,
    /// The order.
    pub order: EventOrder,
}

impl EventQuery {
    /// Whether the query selects an event.
    #[must_use]
    pub fn selects(&self, event: &Event) -> bool {
        let live = self.environment == Environment::Live;
        event.workspace == self.workspace
            && (live || event.environment == Environment::Test)
            && self.key.is_none_or(|key| key == Some(event.key))
            && (self.owner.is_none() || self.owner == event.owner)
    }
}

impl Model {
    /// The events that exist, with their numbers.
    pub fn events(&self) -> impl Iterator<Item = (EventNumber, &Event)> {
        self.events.iter().map(|(number, event)| (*number, event))
    }

    /// The event with this number, unless it was deleted.
    #[must_use]
    pub fn event(&self, number: EventNumber) -> Option<&Event> {
        self.events.get(&number)
    }

    /// The numbers of the events that a query selects.
    #[must_use]
    pub fn selected_events(&self, query: &EventQuery) -> Vec<EventNumber> {
        let selected = self.events().filter(|(_, event)| query.selects(event));
        selected.map(|(number, _)| number).collect()
    }

    /// The request with which the last call was made. Requests differ in whether they have an id
    /// and whether the address of the client is known.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            number: (!self.calls.is_multiple_of(4)).then_some(self.calls),
            from: ADDRESSES.get(self.calls % (ADDRESSES.len() + 1)).copied(),
        }
    }

    /// Returns the actor of the events of a call.
    pub(super) fn actor(&self, principal: Principal) -> EventActor {
        match principal {
            Principal::Host(number) => EventActor::Host(HOSTS[number].owner),
            Principal::Key(number) => EventActor::Key(number, self.callers[&number].owner),
        }
    }

    /// Appends the event of a change that was made to a key. `before` is the key before an update
    /// or rotation.
    pub(super) fn append(
        &mut self,
        actor: EventActor,
        kind: EventKind,
        number: Number,
        before: Option<&Key>,
    ) {
        let key = &self.keys[&number];
        let changes = match kind {
            EventKind::Revoked { .. } => Changes::default(),
            _ => Changes::between(before, key),
        };
        let event = Event {
            kind,
            created_at: self.now,
            workspace: key.workspace,
            environment: key.environment,
            key: number,
            owner: key.owner,
            actor,
            request: self.request(),
            changes,
        };
        self.events.insert(self.appended, event);
        self.appended += 1;
    }

    pub(super) fn list_events(
        &self,
        by: Actor,
        slot: Option<Slot>,
        owner: Option<&'static str>,
        order: EventOrder,
    ) -> Result<CallOutcome, Rejection> {
        let Some(principal) = self.principal(by) else {
            return Ok(CallOutcome::Nothing);
        };
        let caller = self.current(principal)?;
        let own = match caller.access("read")? {
            Access::All => None,
            Access::OwnedBy(owner) => Some(owner),
        };
        let query = EventQuery {
            workspace: caller.workspace,
            environment: caller.environment,
            key: slot.map(|slot| self.number(slot)),
            owner: owner.or(own),
            order,
        };
        let mut selected = self.selected_events(&query);
        if own.is_some() && query.owner != own {
            selected.clear();
        }
        Ok(CallOutcome::Events(query, selected))
    }

    /// Deletes the events of a workspace, or of all, that are older than this.
    pub(super) fn purge_events(
        &mut self,
        workspace: Option<&'static str>,
        age: Millis,
    ) -> CallOutcome {
        let before = self.now - age;
        let existing = self.events.len();
        self.events.retain(|_, event| {
            event.created_at >= before
                || workspace.is_some_and(|workspace| workspace != event.workspace)
        });
        CallOutcome::PurgedEvents((existing - self.events.len()) as u64)
    }
}
