//! The store over real servers: it keeps its contract, and it stays correct when they fail.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod changed_server;
mod cluster;
mod conformance;
mod database;
mod disconnected;
mod events;
mod host_client;
mod interrupted;
mod lists;
mod lost_replies;
mod memory_full;
mod names;
mod not_ready;
mod old_primary;
mod opening;
mod outage;
mod owners;
mod paused;
mod ping;
mod purge;
mod replicas;
mod rules;
mod sample;
mod support;
mod tracking;
mod untracked;
mod verifier;

use futures_executor::block_on;
use keywright_core::{
    Environment, Event, EventId, EventKind, EventOrder, Key, KeyId, ListEvents, Reach, Revocation,
    VersionedKey,
    store::{KeyStore, Record, Settings, StoreError},
};
use keywright_store_redis::RedisStore;

use support::until_available;

/// Inserts a record, and returns it.
#[track_caller]
fn insert(store: &RedisStore, record: Record) -> Record {
    let event = sample::event(&record.key, EventKind::Created);
    block_on(store.insert(&record, sample::now(), Some(&event))).unwrap();
    record
}

/// Replaces the settings of an existing key with those of `changed`, on the version that was read.
async fn try_update(
    store: &RedisStore,
    read: &Record,
    changed: &Key,
) -> Result<VersionedKey, StoreError> {
    let Record { key, version, .. } = read;
    let settings = Settings::from(changed);
    let event = sample::event(key, EventKind::Updated);
    store
        .update(&key.workspace, &key.id, *version, &settings, Some(&event))
        .await
}

/// Revokes an existing key.
#[track_caller]
fn revoke(store: &RedisStore, record: &Record) {
    until_available(|| try_revoke(store, record)).unwrap();
}

/// Revokes an existing key, once.
async fn try_revoke(
    store: &RedisStore,
    Record { key, .. }: &Record,
) -> Result<Revocation, StoreError> {
    let (workspace, id) = (&key.workspace, &key.id);
    let event = sample::revocation(key, Reach::Key);
    let revoked = store.revoke(workspace, id, Reach::Key, sample::now(), Some(&event));
    revoked.await
}

/// Revokes an existing key and its descendants, and returns how many keys that changed.
#[track_caller]
fn revoke_all(store: &RedisStore, record: &Record) -> u64 {
    let Record { key, .. } = record;
    let (workspace, id) = (&key.workspace, &key.id);
    let reach = Reach::Descendants;
    let event = sample::revocation(key, reach);
    let revoked = store.revoke(workspace, id, reach, sample::now(), Some(&event));
    block_on(revoked).unwrap().count
}

/// Finds a record, once the store is available.
#[track_caller]
fn find(store: &RedisStore, id: &KeyId) -> Option<Record> {
    until_available(|| store.find(id)).unwrap()
}

/// Returns all events that a list selects, once the store is available.
#[track_caller]
fn events(store: &RedisStore, mut list: ListEvents<EventId>) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let workspace = sample::workspace();
        let page = until_available(|| store.events(&workspace, Environment::Live, &list)).unwrap();
        events.extend(page.events);
        if page.next.is_none() {
            return events;
        }
        list.after = page.next;
    }
}

/// Returns the kinds of the events of a key, the oldest first.
#[track_caller]
fn history(store: &RedisStore, key: &KeyId) -> Vec<EventKind> {
    let list = ListEvents::new().with_key(*key);
    let list = list.with_order(EventOrder::OldestFirst);
    events(store, list).iter().map(|event| event.kind).collect()
}

/// The kind of the event of a revocation.
const fn revoked(cascade: bool, count: u64) -> EventKind {
    EventKind::Revoked {
        cascade,
        count: Some(count),
    }
}

/// Whether an existing key is revoked.
#[track_caller]
fn is_revoked(store: &RedisStore, id: &KeyId) -> bool {
    find(store, id).unwrap().key.revoked_at.is_some()
}

/// Returns the messages of an error and its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        chain += &format!(": {error}");
        source = error.source();
    }
    chain
}
