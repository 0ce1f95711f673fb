//! A store in memory with a planted fault.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, Key, KeyId, ListEvents, ListKeys, MemoryStore, Name,
    Page, Permissions, Prefix, Reach, Revocation, Timestamp, VersionedKey, Workspace,
    conformance::Harness,
    store::{
        Alias, Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation,
        Reserved, Retire, Rotation, Settings, StoreError, StoredHash, Tag,
    },
};

/// A planted fault: the calls in which a broken store differs from the store in memory. By default
/// each call goes to the store in memory. Each handle has a clone of the fault.
#[async_trait]
pub(crate) trait Fault: Clone + Debug + Default + Send + Sync + 'static {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.insert(record, now, event).await
    }

    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        inner.find(id).await
    }

    async fn find_by_alias(
        &self,
        inner: &MemoryStore,
        alias: &Alias,
    ) -> Result<Option<Record>, StoreError> {
        inner.find_by_alias(alias).await
    }

    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        inner.list(workspace, environment, list, now).await
    }

    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        inner.update(workspace, id, version, settings, event).await
    }

    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        inner.revoke(workspace, id, reach, now, event).await
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.rotate(workspace, rotation, now, event).await
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        inner.rehash(id, version, credential).await
    }

    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        inner.touch(uses).await
    }

    async fn reserve(
        &self,
        inner: &MemoryStore,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        inner.reserve(reservation, now).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        inner.purge(purge).await
    }

    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        inner.events(workspace, environment, list).await
    }

    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        inner.purge_events(purge).await
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn ping(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        inner.ping().await
    }

    async fn prefix(&self, inner: &MemoryStore) -> Result<Option<Prefix>, StoreError> {
        inner.prefix().await
    }

    async fn claim_prefix(
        &self,
        inner: &MemoryStore,
        prefix: &Prefix,
    ) -> Result<Prefix, StoreError> {
        inner.claim_prefix(prefix).await
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn lease(&self, inner: &MemoryStore) -> Arc<Lease> {
        inner.lease()
    }

    /// Damages a record, like [`Harness::damage`].
    fn damage(&self, _: &KeyId) -> bool {
        false
    }

    /// Damages an event, like [`Harness::damage_event`].
    fn damage_event(&self, _: &EventId) -> bool {
        false
    }
}

/// No fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoFault;

impl Fault for NoFault {}

/// A handle on a broken store.
#[derive(Debug)]
pub(crate) struct Broken<F> {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) fault: F,
}

#[async_trait]
impl<F: Fault> KeyStore for Broken<F> {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.fault.insert(&self.inner, record, now, event).await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.fault.find(&self.inner, id).await
    }

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        self.fault.find_by_alias(&self.inner, alias).await
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        self.fault
            .list(&self.inner, workspace, environment, list, now)
            .await
    }

    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        self.fault
            .update(&self.inner, workspace, id, version, settings, event)
            .await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        self.fault
            .revoke(&self.inner, workspace, id, reach, now, event)
            .await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.fault
            .rotate(&self.inner, workspace, rotation, now, event)
            .await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.fault
            .rehash(&self.inner, id, version, credential)
            .await
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.fault.touch(&self.inner, uses).await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        self.fault.reserve(&self.inner, reservation, now).await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        self.fault.purge(&self.inner, purge).await
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        self.fault
            .events(&self.inner, workspace, environment, list)
            .await
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        self.fault.purge_events(&self.inner, purge).await
    }

    fn keeps_events(&self) -> bool {
        self.fault.keeps_events()
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.inner.is_empty().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.fault.ping(&self.inner).await
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.fault.prefix(&self.inner).await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        self.fault.claim_prefix(&self.inner, prefix).await
    }

    fn durability(&self) -> Durability {
        self.fault.durability()
    }

    fn lease(&self) -> Arc<Lease> {
        self.fault.lease(&self.inner)
    }
}

/// A harness for a broken store. The store lives as long as its harness.
#[derive(Debug, Default)]
pub(crate) struct BrokenStore<F> {
    inner: Arc<MemoryStore>,
    fault: F,
}

impl<F: Fault> Harness for BrokenStore<F> {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(Broken {
            inner: Arc::clone(&self.inner),
            fault: self.fault.clone(),
        })
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.fault.damage(id)
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.fault.damage_event(id)
    }
}

/// State that all handles share.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Inserts a record without checking its parent: as the successor of a decoy key in a workspace
/// that the suite does not use.
pub(crate) async fn force(
    inner: &MemoryStore,
    record: &Record,
    now: Timestamp,
    event: Option<&Event>,
) -> Result<(), StoreError> {
    let decoys = Workspace::parse("decoys").unwrap();
    let mut decoy = record.clone();
    let mut id = *record.key.id.as_bytes();
    // The time in this id is one at which the suite creates no id.
    id[..8].fill(b'y');
    decoy.key.id = KeyId::from_bytes(&id).unwrap();
    decoy.key.workspace = decoys.clone();
    decoy.key.parent = None;
    decoy.key.rotated_by = None;
    decoy.key.expires_at = None;
    inner.insert(&decoy, now, None).await?;
    let rotation = Rotation::new(decoy.key.id, 1, Retire::Now, record.clone());
    inner.rotate(&decoys, &rotation, now, event).await
}

/// Appends an event without its change, or replaces an event with the same id: with a decoy key in
/// a workspace that the suite does not use.
pub(crate) async fn append_alone(inner: &MemoryStore, event: &Event) -> Result<(), StoreError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The time in this id is one at which neither the suite nor `force` creates an id.
    let id = format!("xxxxxxxx{:08}", COUNT.fetch_add(1, Ordering::Relaxed));
    let key = Key::new(
        KeyId::from_bytes(id.as_bytes()).unwrap(),
        Workspace::parse("decoys").unwrap(),
        Environment::Live,
        Name::parse("decoy").unwrap(),
        Permissions::default(),
    );
    let hash = format!("$hmac-sha256$AAECAwQFBgcICQoLDA0ODw${}", "A".repeat(43));
    let credential = Credential::new(
        StoredHash::parse(&hash).unwrap(),
        Tag::from_bytes([0; Tag::LENGTH]),
    );
    let decoy = Record::new(key, credential);
    inner.insert(&decoy, Timestamp::MAX, Some(event)).await
}

/// Waits between a check and the write that depends on it, so that another thread can intervene.
pub(crate) fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// Returns all keys of a workspace.
pub(crate) async fn all_keys(
    inner: &MemoryStore,
    workspace: &Workspace,
) -> Result<Vec<Key>, StoreError> {
    Ok(inner
        .list(
            workspace,
            Environment::Live,
            &ListKeys::new().with_limit(u32::MAX),
            Timestamp::MAX,
        )
        .await?
        .keys)
}
