//! A memory store that counts its calls, and in which a test can intervene.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, MemoryStore, Page, Prefix,
    Reach, Revocation, Timestamp, VersionedKey, Workspace,
    store::{
        Alias, Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation,
        Reserved, Rotation, Settings, StoreError, StoreErrorKind,
    },
};
use pollster::block_on;

use crate::hook::Hook;

/// A memory store that counts its calls.
#[derive(Default)]
pub(crate) struct SpyStore {
    inner: MemoryStore,
    /// Replaces the inner store's lease.
    lease: Option<Arc<Lease>>,
    finds: AtomicU64,
    updates: AtomicU64,
    rehashes: AtomicU64,
    touched: Mutex<Vec<(KeyId, Timestamp)>>,
    after_find: Hook,
    before_insert: Hook,
    before_rehash: Hook,
    before_touch: Hook,
    touches_to_fail: AtomicU64,
    touch_calls: AtomicU64,
    /// The number of writes of last uses until they no longer complete.
    touches_until_stall: Mutex<Option<u64>>,
    /// The errors of the next updates and revocations, in reverse order.
    change_failures: Mutex<Vec<StoreErrorKind>>,
    /// The errors of the next insertions and rotations, in reverse order.
    insert_failures: Mutex<Vec<StoreErrorKind>>,
    /// Whether the store has no event log.
    keeps_no_events: AtomicBool,
    event_lists: AtomicU64,
    event_purges: Mutex<Vec<PurgeEvents>>,
    /// Whether deletions of events never complete.
    event_purges_stall: AtomicBool,
}

impl fmt::Debug for SpyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpyStore").finish_non_exhaustive()
    }
}

impl SpyStore {
    /// Creates a store with this lease.
    pub(crate) fn leased(lease: Lease) -> Self {
        Self {
            lease: Some(Arc::new(lease)),
            ..Self::default()
        }
    }

    pub(crate) fn finds(&self) -> u64 {
        self.finds.load(Ordering::SeqCst)
    }

    /// Returns the number of updates that were attempted.
    pub(crate) fn updates(&self) -> u64 {
        self.updates.load(Ordering::SeqCst)
    }

    /// Returns the number of hashes that were replaced.
    pub(crate) fn rehashes(&self) -> u64 {
        self.rehashes.load(Ordering::SeqCst)
    }

    /// Returns the keys whose uses were written, in order.
    pub(crate) fn touched(&self) -> Vec<KeyId> {
        let touched = self.touched.lock().unwrap();
        touched.iter().map(|(id, _)| *id).collect()
    }

    /// Returns the uses of a key that were written, in order.
    pub(crate) fn touches(&self, id: &KeyId) -> Vec<i64> {
        let touched = self.touched.lock().unwrap();
        let own = touched.iter().filter(|(touched, _)| touched == id);
        own.map(|(_, time)| time.as_millis()).collect()
    }

    /// Returns a record without counting the read.
    pub(crate) fn record(&self, id: &KeyId) -> Record {
        block_on(self.inner.find(id)).unwrap().unwrap()
    }

    /// Runs `action` after the next read of a record or a page, before it returns.
    pub(crate) fn after_find(&self, action: impl FnOnce() + Send + 'static) {
        self.after_find.set(action);
    }

    /// Runs `action` before the next insertion or rotation.
    pub(crate) fn before_insert(&self, action: impl FnOnce() + Send + 'static) {
        self.before_insert.set(action);
    }

    /// Runs `action` before the next replacement of a hash.
    pub(crate) fn before_rehash(&self, action: impl FnOnce() + Send + 'static) {
        self.before_rehash.set(action);
    }

    /// Runs `action` before the next write of last uses.
    pub(crate) fn before_touch(&self, action: impl FnOnce() + Send + 'static) {
        self.before_touch.set(action);
    }

    /// Makes the next insertions and rotations fail with these kinds. With `NotConfirmed`
    /// they are done before they fail.
    pub(crate) fn fail_inserts(&self, kinds: &[StoreErrorKind]) {
        *self.insert_failures.lock().unwrap() = kinds.iter().rev().copied().collect();
    }

    /// Makes the next updates and revocations fail with these kinds. With `NotConfirmed` they are
    /// done before they fail.
    pub(crate) fn fail_changes(&self, kinds: &[StoreErrorKind]) {
        *self.change_failures.lock().unwrap() = kinds.iter().rev().copied().collect();
    }

    /// Makes the store one without an event log.
    pub(crate) fn keep_no_events(&self) {
        self.keeps_no_events.store(true, Ordering::SeqCst);
    }

    /// Returns how many pages of events were read.
    pub(crate) fn event_lists(&self) -> u64 {
        self.event_lists.load(Ordering::SeqCst)
    }

    /// Makes deletions of events wait forever.
    pub(crate) fn stall_event_purges(&self) {
        self.event_purges_stall.store(true, Ordering::SeqCst);
    }

    /// Returns the deletions of events, in order.
    pub(crate) fn event_purges(&self) -> Vec<PurgeEvents> {
        self.event_purges.lock().unwrap().clone()
    }

    /// Returns how many writes of last uses were attempted.
    pub(crate) fn touch_calls(&self) -> u64 {
        self.touch_calls.load(Ordering::SeqCst)
    }

    /// Makes writes of last uses wait forever, after this many of them.
    pub(crate) fn stall_touches_after(&self, count: u64) {
        *self.touches_until_stall.lock().unwrap() = Some(count);
    }

    /// Makes later writes of last uses complete.
    pub(crate) fn resume_touches(&self) {
        *self.touches_until_stall.lock().unwrap() = None;
    }

    /// Whether this write of last uses stalls.
    fn stalls(&self) -> bool {
        match &mut *self.touches_until_stall.lock().unwrap() {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    /// Makes this many writes of last uses fail.
    pub(crate) fn fail_touches(&self, count: u64) {
        self.touches_to_fail.store(count, Ordering::SeqCst);
    }
}

/// Runs a call, unless it is to fail before it does anything.
async fn run_or_fail<T>(
    failures: &Mutex<Vec<StoreErrorKind>>,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let kind = failures.lock().unwrap().pop();
    match kind {
        None => call.await,
        Some(kind) => {
            if kind == StoreErrorKind::NotConfirmed {
                call.await?;
            }
            Err(StoreError::new(kind, "spy"))
        }
    }
}

#[async_trait]
impl KeyStore for SpyStore {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.before_insert.run();
        let insert = self.inner.insert(record, now, event);
        run_or_fail(&self.insert_failures, insert).await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.find(id).await;
        self.after_find.run();
        found
    }

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        self.inner.find_by_alias(alias).await
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let found = self.inner.list(workspace, environment, list, now).await;
        self.after_find.run();
        found
    }

    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        self.updates.fetch_add(1, Ordering::SeqCst);
        let update = self.inner.update(workspace, id, version, settings, event);
        run_or_fail(&self.change_failures, update).await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let revoke = self.inner.revoke(workspace, id, reach, now, event);
        run_or_fail(&self.change_failures, revoke).await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.before_insert.run();
        let rotate = self.inner.rotate(workspace, rotation, now, event);
        run_or_fail(&self.insert_failures, rotate).await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.before_rehash.run();
        self.inner.rehash(id, version, credential).await?;
        self.rehashes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.touch_calls.fetch_add(1, Ordering::SeqCst);
        self.before_touch.run();
        if self.stalls() {
            std::future::pending::<()>().await;
        }
        let to_fail =
            self.touches_to_fail
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
        if to_fail.is_ok() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "spy"));
        }
        self.touched.lock().unwrap().extend(uses);
        self.inner.touch(uses).await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        self.inner.reserve(reservation, now).await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        self.inner.purge(purge).await
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        self.event_lists.fetch_add(1, Ordering::SeqCst);
        self.inner.events(workspace, environment, list).await
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        self.event_purges.lock().unwrap().push(purge.clone());
        if self.event_purges_stall.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.purge_events(purge).await
    }

    fn keeps_events(&self) -> bool {
        !self.keeps_no_events.load(Ordering::SeqCst) && self.inner.keeps_events()
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.inner.is_empty().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.inner.prefix().await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        self.inner.claim_prefix(prefix).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn lease(&self) -> Arc<Lease> {
        self.lease.clone().unwrap_or_else(|| self.inner.lease())
    }
}
