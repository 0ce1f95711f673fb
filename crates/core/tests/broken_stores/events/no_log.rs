//! A store without an event log, and stores that claim to be one.

use async_trait::async_trait;
use keywright_core::{
    Event, KeyId, MemoryStore, Reach, Revocation, Timestamp, VersionedKey, Workspace,
    store::{KeyStore, Record, Rotation, Settings, StoreError},
};

use crate::{failed_clauses::assert_fails_only, fault::Fault};

/// No fault: a store without an event log.
#[derive(Clone, Debug, Default)]
struct NoLog;

#[async_trait]
impl Fault for NoLog {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        _: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.insert(record, now, None).await
    }

    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        _: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        inner.update(workspace, id, version, settings, None).await
    }

    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        _: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        inner.revoke(workspace, id, reach, now, None).await
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        _: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.rotate(workspace, rotation, now, None).await
    }

    fn keeps_events(&self) -> bool {
        false
    }
}

#[test]
fn a_store_without_an_event_log_passes() {
    assert_fails_only::<NoLog>(&[]);
}

/// A store that claims to have no event log, and has one.
#[derive(Clone, Debug, Default)]
struct SecretLog;

impl Fault for SecretLog {
    fn keeps_events(&self) -> bool {
        false
    }
}

#[test]
fn a_store_that_hides_its_event_log_is_caught() {
    assert_fails_only::<SecretLog>(&["events"]);
}
