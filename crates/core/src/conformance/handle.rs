//! Blocking handles on the store under test, and races between them.

use std::{
    panic,
    sync::{Arc, Barrier},
    thread,
};

use super::{
    fixture::{event, name, now, revoked, rotated},
    harness::Harness,
};
use crate::{
    Environment, Event, EventId, EventKind, EventPage, Key, KeyId, ListEvents, ListKeys, Page,
    Prefix, Reach, Revocation, Timestamp, VersionedKey, Workspace,
    hash::Credential,
    store::{
        Alias, Durability, KeyStore, Purge, PurgeEvents, Record, Reservation, Reserved, Retire,
        Rotation, Settings, StoreError,
    },
};

/// A handle on the store under test. Each method blocks until the store has finished. Methods that
/// change a record take its workspace, id and version from the copy that the caller read.
pub(super) struct Handle<'h, H> {
    harness: &'h H,
    store: Arc<dyn KeyStore>,
}

impl<'h, H: Harness> Handle<'h, H> {
    pub(super) fn open(harness: &'h H) -> Self {
        Self {
            harness,
            store: harness.open(),
        }
    }

    /// Opens three handles on one store.
    pub(super) fn open_three(harness: &'h H) -> [Self; 3] {
        [(); 3].map(|()| Self::open(harness))
    }

    /// Drops this handle and opens a new one: a restart, if this was the last handle. If the store
    /// lives only as long as its process, opens the new handle first.
    pub(super) fn reopened(self) -> Self {
        let Self { harness, store } = self;
        if store.durability() == Durability::Process {
            return Self::open(harness);
        }
        drop(store);
        Self::open(harness)
    }

    pub(super) fn store(&self) -> &dyn KeyStore {
        &*self.store
    }

    pub(super) fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        self.harness.block_on(future)
    }

    /// Inserts a record at `NOW`, and returns it. Panics if the store rejects it.
    #[track_caller]
    pub(super) fn add(&self, record: Record) -> Record {
        match self.insert(&record, now()) {
            Ok(()) => record,
            Err(error) => panic!("the store rejected a new key: {error:?}"),
        }
    }

    /// Revokes a key, without its descendants, at `NOW`. Panics if the store rejects the call.
    #[track_caller]
    pub(super) fn revoke_key(&self, record: &Record) {
        if let Err(error) = self.revoke(record, Reach::Key, now()) {
            panic!("the store failed to revoke a key: {error:?}");
        }
    }

    /// Returns the record with this id. Panics if there is none.
    #[track_caller]
    pub(super) fn read(&self, id: &KeyId) -> Record {
        match self.find(id) {
            Some(record) => record,
            None => panic!("the store lost {id}"),
        }
    }

    #[track_caller]
    pub(super) fn find(&self, id: &KeyId) -> Option<Record> {
        match self.wait(self.store.find(id)) {
            Ok(found) => found,
            Err(error) => panic!("the store failed to look up {id}: {error:?}"),
        }
    }

    #[track_caller]
    pub(super) fn find_by_alias(&self, alias: &Alias) -> Option<Record> {
        match self.wait(self.store.find_by_alias(alias)) {
            Ok(found) => found,
            Err(error) => panic!("the store failed to look up an alias: {error:?}"),
        }
    }

    #[track_caller]
    pub(super) fn list(&self, workspace: &Workspace, list: &ListKeys<KeyId>) -> Page<KeyId> {
        self.list_as(workspace, Environment::Live, list, now())
    }

    /// Lists the keys that a caller of this environment sees at this time.
    #[track_caller]
    pub(super) fn list_as(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Page<KeyId> {
        match self.wait(self.store.list(workspace, environment, list, now)) {
            Ok(page) => page,
            Err(error) => panic!("the store failed to list {workspace}: {error:?}"),
        }
    }

    pub(super) fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        let event = event(&record.key, EventKind::Created);
        self.insert_with(record, now, Some(&event))
    }

    pub(super) fn insert_with(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.wait(self.store.insert(record, now, event))
    }

    /// Replaces the settings of the record with those of `changed`.
    pub(super) fn update(
        &self,
        record: &Record,
        changed: &Key,
    ) -> Result<VersionedKey, StoreError> {
        let event = event(&record.key, EventKind::Updated);
        self.update_with(record, changed, Some(&event))
    }

    pub(super) fn update_with(
        &self,
        record: &Record,
        changed: &Key,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let Record { key, version, .. } = record;
        let settings = Settings::from(changed);
        self.wait(
            self.store
                .update(&key.workspace, &key.id, *version, &settings, event),
        )
    }

    /// Changes settings of the record, and returns the record after the change. Panics if the store
    /// rejects the update.
    #[track_caller]
    pub(super) fn change(&self, record: &Record, change: impl FnOnce(&mut Key)) -> Record {
        let mut changed = record.clone();
        change(&mut changed.key);
        match self.update(record, &changed.key) {
            Ok(VersionedKey { version, .. }) => Record { version, ..changed },
            Err(error) => panic!("the store failed to update a key: {error:?}"),
        }
    }

    /// Replaces the name of the record.
    pub(super) fn rename(&self, record: &Record, to: &str) -> Result<VersionedKey, StoreError> {
        let changed = Key {
            name: name(to),
            ..record.key.clone()
        };
        self.update(record, &changed)
    }

    pub(super) fn revoke(
        &self,
        record: &Record,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        let event = event(&record.key, revoked(reach));
        self.revoke_with(record, reach, now, Some(&event))
    }

    pub(super) fn revoke_with(
        &self,
        record: &Record,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let Record { key, .. } = record;
        self.wait(
            self.store
                .revoke(&key.workspace, &key.id, reach, now, event),
        )
    }

    pub(super) fn rotate(
        &self,
        predecessor: &Record,
        retire: Retire,
        successor: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = event(&predecessor.key, rotated(successor));
        self.rotate_with(predecessor, retire, successor, now, Some(&event))
    }

    pub(super) fn rotate_with(
        &self,
        predecessor: &Record,
        retire: Retire,
        successor: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let Record { key, version, .. } = predecessor;
        let rotation = Rotation::new(key.id, *version, retire, successor.clone());
        self.wait(self.store.rotate(&key.workspace, &rotation, now, event))
    }

    pub(super) fn rehash(
        &self,
        record: &Record,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.wait(
            self.store
                .rehash(&record.key.id, record.version, credential),
        )
    }

    pub(super) fn touch(&self, uses: &[(KeyId, Timestamp)]) {
        if let Err(error) = self.wait(self.store.touch(uses)) {
            panic!("the store failed to record the last uses: {error:?}");
        }
    }

    pub(super) fn reserve(&self, reservation: &Reservation, now: Timestamp) -> Reserved {
        match self.wait(self.store.reserve(reservation, now)) {
            Ok(reserved) => reserved,
            Err(error) => panic!("the store failed to reserve an idempotency key: {error:?}"),
        }
    }

    #[track_caller]
    pub(super) fn purge(&self, purge: &Purge) -> u64 {
        match self.wait(self.store.purge(purge)) {
            Ok(count) => count,
            Err(error) => panic!("the store failed to purge: {error:?}"),
        }
    }

    /// Lists the events that a `live` caller sees.
    #[track_caller]
    pub(super) fn events(
        &self,
        workspace: &Workspace,
        list: &ListEvents<EventId>,
    ) -> EventPage<EventId> {
        self.events_as(workspace, Environment::Live, list)
    }

    #[track_caller]
    pub(super) fn events_as(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> EventPage<EventId> {
        match self.wait(self.store.events(workspace, environment, list)) {
            Ok(page) => page,
            Err(error) => panic!("the store failed to list events of {workspace}: {error:?}"),
        }
    }

    #[track_caller]
    pub(super) fn purge_events(&self, purge: &PurgeEvents) -> u64 {
        match self.wait(self.store.purge_events(purge)) {
            Ok(count) => count,
            Err(error) => panic!("the store failed to purge events: {error:?}"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self.wait(self.store.is_empty()) {
            Ok(empty) => empty,
            Err(error) => panic!("the store failed to report whether it is empty: {error:?}"),
        }
    }

    pub(super) fn prefix(&self) -> Option<Prefix> {
        match self.wait(self.store.prefix()) {
            Ok(prefix) => prefix,
            Err(error) => panic!("the store failed to read its prefix: {error:?}"),
        }
    }

    pub(super) fn claim_prefix(&self, prefix: &Prefix) -> Prefix {
        match self.wait(self.store.claim_prefix(prefix)) {
            Ok(claimed) => claimed,
            Err(error) => panic!("the store failed to claim a prefix: {error:?}"),
        }
    }
}

/// Calls `work` in several threads at once, and returns the output of each thread. The threads use
/// the handles in turn.
pub(super) fn race<H: Harness, T: Send>(
    handles: &[Handle<'_, H>],
    threads: usize,
    work: impl Fn(usize, &Handle<'_, H>) -> T + Sync,
) -> Vec<T> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .zip(handles.iter().cycle())
            .map(|(number, handle)| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number, handle)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| panic::resume_unwind(panic))
            })
            .collect()
    })
}
