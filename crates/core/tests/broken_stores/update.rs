//! Stores that break clauses 7 and 8.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_core::{
    KeyId, MemoryStore, Timestamp, VersionedKey, Workspace,
    store::{Credential, KeyStore, Record, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// An update that ignores the version.
#[derive(Clone, Debug, Default)]
struct UpdatesAnyVersion;

#[async_trait]
impl Fault for UpdatesAnyVersion {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
    ) -> Result<VersionedKey, StoreError> {
        let current = inner
            .find(id)
            .await?
            .map_or(version, |record| record.version);
        inner.update(workspace, id, current, settings).await
    }
}

#[test]
fn an_update_of_another_version_is_caught() {
    assert_fails_only::<UpdatesAnyVersion>(&["conditional_update"]);
}

/// A rehash that ignores the version.
#[derive(Clone, Debug, Default)]
struct RehashesAnyVersion;

#[async_trait]
impl Fault for RehashesAnyVersion {
    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let current = inner
            .find(id)
            .await?
            .map_or(version, |record| record.version);
        inner.rehash(id, current, credential).await
    }
}

#[test]
fn a_rehash_of_another_version_is_caught() {
    assert_fails_only::<RehashesAnyVersion>(&["conditional_update"]);
}

/// A rehash that keeps the old tag.
#[derive(Clone, Debug, Default)]
struct KeepsTheTag;

#[async_trait]
impl Fault for KeepsTheTag {
    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let mut credential = credential.clone();
        if let Some(record) = inner.find(id).await? {
            credential.tag = record.credential.tag;
        }
        inner.rehash(id, version, &credential).await
    }
}

#[test]
fn a_rehash_that_keeps_the_tag_is_caught() {
    assert_fails_only::<KeepsTheTag>(&["conditional_update"]);
}

/// An update that cannot clear the metadata.
#[derive(Clone, Debug, Default)]
struct KeepsMetadata;

#[async_trait]
impl Fault for KeepsMetadata {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
    ) -> Result<VersionedKey, StoreError> {
        let mut settings = settings.clone();
        if settings.metadata.is_none()
            && let Some(record) = inner.find(id).await?
        {
            settings.metadata = record.key.metadata;
        }
        inner.update(workspace, id, version, &settings).await
    }
}

#[test]
fn an_update_that_cannot_clear_a_setting_is_caught() {
    assert_fails_only::<KeepsMetadata>(&["conditional_update"]);
}

/// A touch that increments the version.
#[derive(Clone, Debug, Default)]
struct TouchIncrementsVersion;

#[async_trait]
impl Fault for TouchIncrementsVersion {
    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        inner.touch(uses).await?;
        for (id, _) in uses {
            let Some(Record { key, version, .. }) = inner.find(id).await? else {
                continue;
            };
            // The update fails if the key is revoked or was just changed.
            let unchanged = Settings::from(&key);
            drop(inner.update(&key.workspace, id, version, &unchanged).await);
        }
        Ok(())
    }
}

#[test]
fn a_touch_that_increments_the_version_is_caught() {
    assert_fails_only::<TouchIncrementsVersion>(&["touch_is_no_write", "changes"]);
}

/// A touch that records the last reported use instead of the latest.
#[derive(Clone, Debug, Default)]
struct TouchMovesBackward(Shared<HashMap<KeyId, Timestamp>>);

#[async_trait]
impl Fault for TouchMovesBackward {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let mut found = inner.find(id).await?;
        if let Some(record) = &mut found {
            record.key.last_used_at = self.0.with(|uses| uses.get(id).copied());
        }
        Ok(found)
    }

    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        self.0
            .with(|recorded| recorded.extend(uses.iter().copied()));
        inner.touch(uses).await
    }
}

#[test]
fn a_touch_that_moves_backward_is_caught() {
    assert_fails_only::<TouchMovesBackward>(&["touch_is_no_write"]);
}
