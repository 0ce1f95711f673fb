//! Stores that delete the wrong events.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use keywright_core::{
    Environment, EventId, EventPage, ListEvents, MemoryStore, Workspace,
    store::{KeyStore, PurgeEvents, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// A purge that deletes also the events at the given time.
#[derive(Clone, Debug, Default)]
struct TimeIncluded;

#[async_trait]
impl Fault for TimeIncluded {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let mut later = purge.clone();
        later.before = purge.before.saturating_add(Duration::from_millis(1));
        inner.purge_events(&later).await
    }
}

#[test]
fn a_purge_of_events_at_the_given_time_is_caught() {
    assert_fails_only::<TimeIncluded>(&["events"]);
}

/// A purge that deletes the events of all workspaces.
#[derive(Clone, Debug, Default)]
struct AnyWorkspace;

#[async_trait]
impl Fault for AnyWorkspace {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let everywhere = PurgeEvents::new(purge.before, purge.limit);
        inner.purge_events(&everywhere).await
    }
}

#[test]
fn a_purge_of_events_of_other_workspaces_is_caught() {
    assert_fails_only::<AnyWorkspace>(&["events"]);
}

/// A purge of all workspaces that deletes nothing.
#[derive(Clone, Debug, Default)]
struct OneWorkspaceOnly;

#[async_trait]
impl Fault for OneWorkspaceOnly {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        match purge.workspace {
            Some(_) => inner.purge_events(purge).await,
            None => Ok(0),
        }
    }
}

#[test]
fn a_purge_of_all_workspaces_that_deletes_nothing_is_caught() {
    assert_fails_only::<OneWorkspaceOnly>(&["events"]);
}

/// A purge that ignores its limit.
#[derive(Clone, Debug, Default)]
struct NoLimit;

#[async_trait]
impl Fault for NoLimit {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let mut all = purge.clone();
        all.limit = u32::MAX;
        inner.purge_events(&all).await
    }
}

#[test]
fn a_purge_of_more_events_than_the_limit_is_caught() {
    assert_fails_only::<NoLimit>(&["events"]);
}

/// A purge that deletes more events than its limit, and reports the limit.
#[derive(Clone, Debug, Default)]
struct ReportsTheLimit;

#[async_trait]
impl Fault for ReportsTheLimit {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let mut all = purge.clone();
        all.limit = u32::MAX;
        let count = inner.purge_events(&all).await?;
        Ok(count.min(purge.limit.into()))
    }
}

#[test]
fn a_purge_of_events_that_reports_too_few_is_caught() {
    assert_fails_only::<ReportsTheLimit>(&["events"]);
}

/// A purge that returns 0 unless it reaches its limit.
#[derive(Clone, Debug, Default)]
struct ReturnsZeroEarly;

#[async_trait]
impl Fault for ReturnsZeroEarly {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let count = inner.purge_events(purge).await?;
        Ok(if count < purge.limit.into() { 0 } else { count })
    }
}

#[test]
fn a_purge_of_events_that_returns_0_early_is_caught() {
    assert_fails_only::<ReturnsZeroEarly>(&["events"]);
}

/// A purge that leaves the entries of the index by owner.
#[derive(Clone, Debug, Default)]
struct LeavesTheOwnerIndex {
    purged: Shared<HashSet<EventId>>,
}

#[async_trait]
impl Fault for LeavesTheOwnerIndex {
    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let mut page = inner.events(workspace, environment, list).await?;
        if list.owner.is_none() {
            self.purged
                .with(|purged| page.events.retain(|event| !purged.contains(&event.id)));
        }
        Ok(page)
    }

    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let Some(workspace) = &purge.workspace else {
            return inner.purge_events(purge).await;
        };
        let all = ListEvents::new().with_limit(u32::MAX);
        let page = inner.events(workspace, Environment::Live, &all).await?;
        let limit = usize::try_from(purge.limit).unwrap();
        Ok(self.purged.with(|purged| {
            let covered = page.events.iter().filter(|event| purge.covers(event));
            let new: Vec<EventId> = covered
                .map(|event| event.id)
                .filter(|id| !purged.contains(id))
                .take(limit)
                .collect();
            purged.extend(&new);
            new.len() as u64
        }))
    }
}

#[test]
fn a_purge_of_events_that_leaves_an_index_is_caught() {
    assert_fails_only::<LeavesTheOwnerIndex>(&["events"]);
}

/// A purge of events that invalidates all records.
#[derive(Clone, Debug, Default)]
struct InvalidatesRecords;

#[async_trait]
impl Fault for InvalidatesRecords {
    async fn purge_events(
        &self,
        inner: &MemoryStore,
        purge: &PurgeEvents,
    ) -> Result<u64, StoreError> {
        let purged = inner.purge_events(purge).await;
        inner.lease().changed_all();
        purged
    }
}

#[test]
fn a_purge_of_events_that_invalidates_records_is_caught() {
    assert_fails_only::<InvalidatesRecords>(&["events"]);
}
