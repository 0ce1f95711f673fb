//! Stores that break clause 12.

use std::{collections::HashMap, future::poll_fn, task::Poll};

use async_trait::async_trait;
use keywright_core::{
    Clock, Environment, Event, KeyId, ListKeys, MemoryStore, Page, SystemClock, Timestamp,
    Workspace,
    store::{KeyStore, Record, Rotation, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// A list that uses the system clock to decide which keys have expired.
#[derive(Clone, Debug, Default)]
struct ReadsSystemClock;

#[async_trait]
impl Fault for ReadsSystemClock {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        _now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let now = SystemClock::default().now();
        inner.list(workspace, environment, list, now).await
    }
}

#[test]
fn a_store_that_reads_the_system_clock_is_caught() {
    // Lists by status are also wrong.
    assert_fails_only::<ReadsSystemClock>(&["listing", "clock_cancellation_secrets"]);
}

/// A rotation that inserts the successor, yields, and then retires the predecessor.
#[derive(Clone, Debug, Default)]
struct RotatesInTwoSteps(Shared<HashMap<KeyId, Record>>);

#[async_trait]
impl Fault for RotatesInTwoSteps {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let found = inner.find(id).await?;
        Ok(found.or_else(|| self.0.with(|early| early.get(id).cloned())))
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let id = rotation.successor.key.id;
        self.0
            .with(|early| early.insert(id, rotation.successor.clone()));
        let mut waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.0.with(|early| early.remove(&id));
        inner.rotate(workspace, rotation, now, event).await
    }
}

#[test]
fn a_rotation_that_can_be_dropped_halfway_is_caught() {
    assert_fails_only::<RotatesInTwoSteps>(&["clock_cancellation_secrets"]);
}
