//! Makes the events of changes, and reports them after the store has committed them.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::Issuer;
use crate::{
    Caller, Changes, Event, EventId, EventKind, Key, Observer,
    random::{Generator, RandomError},
    store::{StoreError, StoreErrorKind},
};

/// The recipients of the events of an issuer.
#[derive(Clone)]
pub(crate) struct Recorder {
    /// Whether events are written to the store.
    pub(crate) writes: bool,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Recorder {
    /// Returns the event if the store is to append it.
    pub(super) fn written<'e>(&self, event: &'e Event) -> Option<&'e Event> {
        self.writes.then_some(event)
    }

    /// Logs an event and passes it to the observer, if the store has made the change.
    pub(super) fn report<T>(&self, event: &Event, outcome: &Result<T, StoreError>) {
        match outcome {
            Ok(_) => {}
            // The change was made, although too few replicas confirmed it.
            Err(error) if error.kind() == StoreErrorKind::NotConfirmed => {}
            Err(_) => return,
        }
        log(event);
        let Some(observer) = &self.observer else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| observer.recorded(event))).is_err() {
            tracing::error!(event = %event.id, "the observer of events panicked");
        }
    }
}

impl Issuer {
    /// Makes the event of a change that a caller is about to make.
    pub(super) fn event(
        &self,
        caller: &Caller,
        key: &Key,
        kind: EventKind,
        changes: Changes,
    ) -> Result<Event, RandomError> {
        let mut random = Generator::seeded(self.verifier.entropy())?;
        let id = EventId::generate(&key.id, self.verifier.now(), &mut random);
        Ok(Event {
            request_id: caller.request_id().cloned(),
            client_ip: caller.client_ip(),
            changes,
            ..Event::new(id, kind, key, caller.actor())
        })
    }
}

fn log(event: &Event) {
    let message = match event.kind {
        EventKind::Created => "API key created",
        EventKind::Updated => "API key updated",
        EventKind::Rotated { .. } => "API key rotated",
        EventKind::Revoked { .. } => "API key revoked",
    };
    let (successor, count) = match event.kind {
        EventKind::Rotated { successor } => (Some(successor), None),
        EventKind::Revoked { count, .. } => (None, count),
        EventKind::Created | EventKind::Updated => (None, None),
    };
    tracing::info!(
        key = %event.key,
        workspace = %event.workspace,
        actor = %event.actor,
        request_id = event.request_id.as_ref().map(tracing::field::display),
        client_ip = event.client_ip.map(tracing::field::display),
        successor = successor.map(tracing::field::display),
        count,
        "{message}"
    );
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("writes", &self.writes)
            .field("observes", &self.observer.is_some())
            .finish()
    }
}
