//! Stores that change events, or lose them later.

use std::{fmt::Debug, marker::PhantomData};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventKind, EventPage, ListEvents, MemoryStore, Workspace,
    store::{KeyStore, StoreError},
};

use crate::{failed_clauses::assert_fails_only, fault::Fault};

/// A broken way to read an event back. `None` leaves the event out.
#[async_trait]
trait Reading: Clone + Debug + Default + Send + Sync + 'static {
    async fn read(inner: &MemoryStore, event: Event) -> Result<Option<Event>, StoreError>;
}

/// A store that reads events back in a broken way.
#[derive(Clone, Debug, Default)]
struct Reads<R>(PhantomData<R>);

#[async_trait]
impl<R: Reading> Fault for Reads<R> {
    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let page = inner.events(workspace, environment, list).await?;
        let mut events = Vec::new();
        for event in page.events {
            events.extend(R::read(inner, event).await?);
        }
        Ok(EventPage::new(events, page.next))
    }
}

/// An event that shows the current name of its key.
#[derive(Clone, Debug, Default)]
struct CurrentName;

#[async_trait]
impl Reading for CurrentName {
    async fn read(inner: &MemoryStore, mut event: Event) -> Result<Option<Event>, StoreError> {
        let record = inner.find(&event.key).await?;
        if let (Some(name), Some(record)) = (&mut event.changes.name, record) {
            name.after = Some(record.key.name);
        }
        Ok(Some(event))
    }
}

#[test]
fn an_event_that_an_update_changes_is_caught() {
    assert_fails_only::<Reads<CurrentName>>(&["events"]);
}

/// Events that are deleted with the record of their key.
#[derive(Clone, Debug, Default)]
struct DeletedWithTheKey;

#[async_trait]
impl Reading for DeletedWithTheKey {
    async fn read(inner: &MemoryStore, event: Event) -> Result<Option<Event>, StoreError> {
        let record = inner.find(&event.key).await?;
        Ok(record.map(|_| event))
    }
}

#[test]
fn events_that_a_purge_of_keys_deletes_are_caught() {
    assert_fails_only::<Reads<DeletedWithTheKey>>(&["events"]);
}

/// A revocation without the number of keys.
#[derive(Clone, Debug, Default)]
struct NotCounted;

#[async_trait]
impl Reading for NotCounted {
    async fn read(_: &MemoryStore, mut event: Event) -> Result<Option<Event>, StoreError> {
        if let EventKind::Revoked { count, .. } = &mut event.kind {
            *count = None;
        }
        Ok(Some(event))
    }
}

#[test]
fn a_revocation_without_a_count_is_caught() {
    assert_fails_only::<Reads<NotCounted>>(&["events"]);
}

/// A cascade that counts only the key that was named.
#[derive(Clone, Debug, Default)]
struct CountsOne;

#[async_trait]
impl Reading for CountsOne {
    async fn read(_: &MemoryStore, event: Event) -> Result<Option<Event>, StoreError> {
        Ok(Some(event.with_count(1)))
    }
}

#[test]
fn a_cascade_with_the_wrong_count_is_caught() {
    assert_fails_only::<Reads<CountsOne>>(&["events"]);
}

/// An event without the address of the client.
#[derive(Clone, Debug, Default)]
struct NoAddress;

#[async_trait]
impl Reading for NoAddress {
    async fn read(_: &MemoryStore, mut event: Event) -> Result<Option<Event>, StoreError> {
        event.client_ip = None;
        Ok(Some(event))
    }
}

#[test]
fn an_event_that_loses_a_field_is_caught() {
    assert_fails_only::<Reads<NoAddress>>(&["events"]);
}
