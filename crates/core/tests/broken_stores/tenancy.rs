//! Stores that break clause 9.

use std::collections::BTreeSet;

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, KeyId, ListKeys, ListStart, MemoryStore, Page, Reach, Revocation,
    Timestamp, VersionedKey, Workspace,
    store::{KeyStore, Record, Rotation, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// Returns the workspace that the key belongs to, or `default` if there is no such key.
async fn workspace_of(
    inner: &MemoryStore,
    id: &KeyId,
    default: &Workspace,
) -> Result<Workspace, StoreError> {
    let found = inner.find(id).await?;
    Ok(found.map_or_else(|| default.clone(), |record| record.key.workspace))
}

/// A list that compares workspaces without regard to case, as some databases do.
#[derive(Clone, Debug, Default)]
struct FoldsWorkspaces(Shared<BTreeSet<Workspace>>);

#[async_trait]
impl Fault for FoldsWorkspaces {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.0
            .with(|workspaces| workspaces.insert(record.key.workspace.clone()));
        inner.insert(record, now, event).await
    }

    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut everything = list.clone();
        everything.start = ListStart::Offset(0);
        everything.limit = u32::MAX;
        let mut keys = Vec::new();
        for other in self.0.with(|workspaces| workspaces.clone()) {
            if other.as_str().eq_ignore_ascii_case(workspace.as_str()) {
                keys.extend(
                    inner
                        .list(&other, environment, &everything, now)
                        .await?
                        .keys,
                );
            }
        }
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        let total = keys.len() as u64;
        match list.start {
            ListStart::After(id) => {
                keys.retain(|key| key.id < id);
                Ok(Page::cut(keys, list.limit, None))
            }
            ListStart::Offset(offset) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                let keys = keys.into_iter().skip(offset).collect();
                Ok(Page::cut(keys, list.limit, Some(total)))
            }
        }
    }
}

#[test]
fn a_list_of_two_workspaces_is_caught() {
    assert_fails_only::<FoldsWorkspaces>(&["tenancy"]);
}

/// An update of a key in any workspace.
#[derive(Clone, Debug, Default)]
struct UpdatesAny;

#[async_trait]
impl Fault for UpdatesAny {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        inner
            .update(
                &workspace_of(inner, id, workspace).await?,
                id,
                version,
                settings,
                event,
            )
            .await
    }
}

#[test]
fn an_update_in_another_workspace_is_caught() {
    assert_fails_only::<UpdatesAny>(&["tenancy"]);
}

/// A revocation of a key in any workspace.
#[derive(Clone, Debug, Default)]
struct RevokesAny;

#[async_trait]
impl Fault for RevokesAny {
    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        inner
            .revoke(
                &workspace_of(inner, id, workspace).await?,
                id,
                reach,
                now,
                event,
            )
            .await
    }
}

#[test]
fn a_revocation_in_another_workspace_is_caught() {
    assert_fails_only::<RevokesAny>(&["tenancy"]);
}

/// A rotation of a key in any workspace.
#[derive(Clone, Debug, Default)]
struct RotatesAny;

#[async_trait]
impl Fault for RotatesAny {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let own = workspace_of(inner, &rotation.predecessor, workspace).await?;
        inner.rotate(&own, rotation, now, event).await
    }
}

#[test]
fn a_rotation_in_another_workspace_is_caught() {
    assert_fails_only::<RotatesAny>(&["tenancy"]);
}
