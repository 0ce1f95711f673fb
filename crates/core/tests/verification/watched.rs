//! A store in memory that counts what it is asked.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use keywright_core::{
    Credential, Durability, Environment, Key, KeyId, KeyStore, Lease, ListKeys, MemoryStore, Page,
    Prefix, Purge, Reach, Record, Rename, Reservation, Reserved, Revocation, Rotation, StoreError,
    StoreErrorKind, Timestamp, Workspace,
};
use pollster::block_on;

use crate::once::Once;

/// A store in memory that counts.
#[derive(Default)]
pub(crate) struct Watched {
    inner: MemoryStore,
    /// Instead of the inner store's.
    lease: Option<Arc<Lease>>,
    finds: AtomicU64,
    rehashes: AtomicU64,
    touched: Mutex<Vec<(KeyId, Timestamp)>>,
    after_find: Once,
    before_rehash: Once,
    before_touch: Once,
    touches_to_fail: AtomicU64,
    /// What the next insertions and rotations are answered with, the last of these first.
    answers: Mutex<Vec<StoreErrorKind>>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Watched {
    /// With this lease instead of the inner store's.
    pub(crate) fn leased(lease: Lease) -> Self {
        Self {
            lease: Some(Arc::new(lease)),
            ..Self::default()
        }
    }

    pub(crate) fn finds(&self) -> u64 {
        self.finds.load(Ordering::SeqCst)
    }

    /// How many hashes were replaced.
    pub(crate) fn rehashes(&self) -> u64 {
        self.rehashes.load(Ordering::SeqCst)
    }

    /// The uses of a key that were written, in order.
    pub(crate) fn touches(&self, id: &KeyId) -> Vec<i64> {
        let touched = self.touched.lock().unwrap();
        let own = touched.iter().filter(|(touched, _)| touched == id);
        own.map(|(_, time)| time.as_millis()).collect()
    }

    /// The record as it is, without being counted.
    pub(crate) fn record(&self, id: &KeyId) -> Record {
        block_on(self.inner.find(id)).unwrap().unwrap()
    }

    /// Has something happen once a record was read, and before it is handed over.
    pub(crate) fn after_find(&self, what: impl FnOnce() + Send + 'static) {
        self.after_find.set(what);
    }

    /// Has something happen before a hash is replaced.
    pub(crate) fn before_rehash(&self, what: impl FnOnce() + Send + 'static) {
        self.before_rehash.set(what);
    }

    /// Has something happen before uses are written.
    pub(crate) fn before_touch(&self, what: impl FnOnce() + Send + 'static) {
        self.before_touch.set(what);
    }

    /// Has the next insertions and rotations answered with these; only what is not confirmed is done.
    pub(crate) fn answer_with(&self, kinds: &[StoreErrorKind]) {
        *self.answers.lock().unwrap() = kinds.iter().rev().copied().collect();
    }

    /// What an insertion or a rotation is answered with, instead of being done or after it.
    async fn answer(
        &self,
        step: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let kind = self.answers.lock().unwrap().pop();
        let error = kind.map(|kind| StoreError::new(kind, "watched"));
        if kind.is_none_or(|kind| kind == StoreErrorKind::NotConfirmed) {
            step.await?;
        }
        error.map_or(Ok(()), Err)
    }

    /// Lets that many writes of uses fail.
    pub(crate) fn fail_touches(&self, count: u64) {
        self.touches_to_fail.store(count, Ordering::SeqCst);
    }
}

#[async_trait]
impl KeyStore for Watched {
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        self.answer(self.inner.insert(record, now)).await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.find(id).await;
        self.after_find.happen();
        found
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let found = self.inner.list(workspace, environment, list, now).await;
        self.after_find.happen();
        found
    }

    async fn rename(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        self.inner.rename(workspace, id, version, rename).await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        self.inner.revoke(workspace, id, reach, now).await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.answer(self.inner.rotate(workspace, rotation, now))
            .await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        self.before_rehash.happen();
        self.inner.rehash(id, version, credential).await?;
        self.rehashes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.before_touch.happen();
        let to_fail =
            self.touches_to_fail
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
        if to_fail.is_ok() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "watched"));
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

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.inner.is_empty().await
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
