//! Stores that break clause 13.

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use keywright_core::{
    Event, KeyId, MemoryStore, Reach, Revocation, Timestamp, VersionedKey, Workspace,
    store::{Credential, KeyStore, Lease, Record, Rotation, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, pause},
};

/// A broken way to invalidate changed records, in place of that of the inner store.
trait Invalidation: Clone + Debug + Default + Send + Sync + 'static {
    fn lease(&self) -> &Arc<Lease>;

    /// Called before a change of this key, or of this key and its descendants.
    fn before_commit(&self, _: &KeyId, _: Reach) {}

    /// Called after the change, before its acknowledgement.
    fn after_commit(&self, _: &KeyId, _: Reach) {}

    /// Called like [`after_commit`](Self::after_commit), after an update from the first settings to
    /// the second.
    fn after_update(&self, id: &KeyId, _: &Settings, _: &Settings) {
        self.after_commit(id, Reach::Key);
    }
}

/// A store with a broken invalidation.
#[derive(Clone, Debug, Default)]
struct WithInvalidation<I>(I);

impl<I: Invalidation> WithInvalidation<I> {
    async fn invalidate_around<T>(
        &self,
        id: &KeyId,
        reach: Reach,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.0.before_commit(id, reach);
        let result = change.await;
        self.0.after_commit(id, reach);
        result
    }
}

#[async_trait]
impl<I: Invalidation> Fault for WithInvalidation<I> {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let before = inner.find(id).await?;
        self.0.before_commit(id, Reach::Key);
        let result = inner.update(workspace, id, version, settings, event).await;
        if let Some(Record { key, .. }) = before {
            self.0.after_update(id, &Settings::from(&key), settings);
        }
        result
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
        let change = inner.revoke(workspace, id, reach, now, event);
        self.invalidate_around(id, reach, change).await
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let change = inner.rotate(workspace, rotation, now, event);
        self.invalidate_around(&rotation.predecessor, Reach::Key, change)
            .await
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let change = inner.rehash(id, version, credential);
        self.invalidate_around(id, Reach::Key, change).await
    }

    fn lease(&self, _: &MemoryStore) -> Arc<Lease> {
        Arc::clone(self.0.lease())
    }
}

/// A lease that the inner store does not update.
#[derive(Clone, Debug)]
struct SeparateLease(Arc<Lease>);

impl Default for SeparateLease {
    fn default() -> Self {
        Self(Arc::new(Lease::unlimited()))
    }
}

impl SeparateLease {
    fn invalidate(&self, id: &KeyId, reach: Reach) {
        match reach {
            Reach::Key => self.0.changed(id),
            Reach::Descendants => self.0.changed_all(),
        }
    }
}

/// A valid lease without any invalidation.
#[derive(Clone, Debug, Default)]
struct NeverInvalidates(SeparateLease);

impl Invalidation for NeverInvalidates {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }
}

#[test]
fn a_store_that_never_invalidates_is_caught() {
    assert_fails_only::<WithInvalidation<NeverInvalidates>>(&["changes"]);
}

/// An invalidation before the commit.
#[derive(Clone, Debug, Default)]
struct InvalidatesBeforeCommit(SeparateLease);

impl Invalidation for InvalidatesBeforeCommit {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn before_commit(&self, id: &KeyId, reach: Reach) {
        self.0.invalidate(id, reach);
        pause();
    }
}

#[test]
fn an_invalidation_before_the_commit_is_caught() {
    assert_fails_only::<WithInvalidation<InvalidatesBeforeCommit>>(&["changes"]);
}

/// A cascade that invalidates only its root.
#[derive(Clone, Debug, Default)]
struct InvalidatesOnlyTheRoot(SeparateLease);

impl Invalidation for InvalidatesOnlyTheRoot {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn after_commit(&self, id: &KeyId, _: Reach) {
        self.0.invalidate(id, Reach::Key);
    }
}

#[test]
fn a_cascade_that_invalidates_only_its_root_is_caught() {
    assert_fails_only::<WithInvalidation<InvalidatesOnlyTheRoot>>(&["changes"]);
}

/// A store that does not invalidate the records that it updates.
#[derive(Clone, Debug, Default)]
struct IgnoresUpdates(SeparateLease);

impl Invalidation for IgnoresUpdates {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn after_commit(&self, id: &KeyId, reach: Reach) {
        self.0.invalidate(id, reach);
    }

    fn after_update(&self, _: &KeyId, _: &Settings, _: &Settings) {}
}

#[test]
fn an_update_that_invalidates_nothing_is_caught() {
    assert_fails_only::<WithInvalidation<IgnoresUpdates>>(&["changes"]);
}

/// A store that invalidates the records that it updates, unless only the addresses change.
#[derive(Clone, Debug, Default)]
struct IgnoresAddresses(SeparateLease);

impl Invalidation for IgnoresAddresses {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn after_commit(&self, id: &KeyId, reach: Reach) {
        self.0.invalidate(id, reach);
    }

    fn after_update(&self, id: &KeyId, old: &Settings, new: &Settings) {
        let mut with_addresses = old.clone();
        with_addresses.allowed_ips = new.allowed_ips.clone();
        if with_addresses != *new {
            self.after_commit(id, Reach::Key);
        }
    }
}

#[test]
fn an_update_of_the_addresses_that_invalidates_nothing_is_caught() {
    assert_fails_only::<WithInvalidation<IgnoresAddresses>>(&["changes"]);
}

/// A channel between the leases of the handles that stops silently after 50 messages, while the
/// leases stay valid.
#[derive(Debug, Default)]
struct ChannelStops {
    lease: SeparateLease,
    all: Shared<(Vec<SeparateLease>, u32)>,
}

impl Clone for ChannelStops {
    fn clone(&self) -> Self {
        let lease = SeparateLease::default();
        self.all.with(|(all, _)| all.push(lease.clone()));
        Self {
            lease,
            all: self.all.clone(),
        }
    }
}

impl Invalidation for ChannelStops {
    fn lease(&self) -> &Arc<Lease> {
        &self.lease.0
    }

    fn after_commit(&self, id: &KeyId, reach: Reach) {
        self.lease.invalidate(id, reach);
        self.all.with(|(all, sent)| {
            *sent += 1;
            if *sent < 50 {
                all.iter().for_each(|other| other.invalidate(id, reach));
            }
        });
    }
}

#[test]
fn a_channel_that_stops_silently_is_caught() {
    assert_fails_only::<WithInvalidation<ChannelStops>>(&["changes"]);
}

/// A touch that invalidates all records.
#[derive(Clone, Debug, Default)]
struct TouchInvalidates;

#[async_trait]
impl Fault for TouchInvalidates {
    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        inner.lease().changed_all();
        inner.touch(uses).await
    }
}

#[test]
fn a_touch_that_invalidates_is_caught() {
    assert_fails_only::<TouchInvalidates>(&["changes"]);
}

/// No fault: a store that cannot invalidate, and whose lease has lapsed.
#[derive(Clone, Debug, Default)]
struct LapsedLease;

impl Fault for LapsedLease {
    fn lease(&self, _: &MemoryStore) -> Arc<Lease> {
        static LAPSED: OnceLock<Arc<Lease>> = OnceLock::new();
        Arc::clone(LAPSED.get_or_init(|| Arc::new(Lease::lapsed())))
    }
}

#[test]
fn a_store_whose_lease_has_lapsed_passes() {
    assert_fails_only::<LapsedLease>(&[]);
}
