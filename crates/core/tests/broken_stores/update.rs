//! Clauses 7 and 8 broken.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_core::{
    Credential, Key, KeyId, KeyStore, MemoryStore, Metadata, Record, Rename, StoreError, Timestamp,
    Workspace,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared},
};

/// Renames whatever version there is.
#[derive(Clone, Debug, Default)]
struct RenamesAnyVersion;

#[async_trait]
impl Fault for RenamesAnyVersion {
    async fn rename(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let present = inner
            .find(id)
            .await?
            .map_or(version, |record| record.version);
        inner.rename(workspace, id, present, rename).await
    }
}

#[test]
fn a_rename_of_another_version_is_caught() {
    assert_caught::<RenamesAnyVersion>(&["conditional_update"]);
}

/// Rehashes whatever version there is.
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
        let present = inner
            .find(id)
            .await?
            .map_or(version, |record| record.version);
        inner.rehash(id, present, credential).await
    }
}

#[test]
fn a_rehash_of_another_version_is_caught() {
    assert_caught::<RehashesAnyVersion>(&["conditional_update"]);
}

/// Replaces the hash, and leaves the tag.
#[derive(Clone, Debug, Default)]
struct LeavesTheTag;

#[async_trait]
impl Fault for LeavesTheTag {
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
fn a_hash_without_its_tag_is_caught() {
    assert_caught::<LeavesTheTag>(&["conditional_update"]);
}

/// Loses the metadata where only the name is replaced.
#[derive(Clone, Debug, Default)]
struct LosesMetadata;

#[async_trait]
impl Fault for LosesMetadata {
    async fn rename(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let mut rename = rename.clone();
        rename
            .metadata
            .get_or_insert_with(|| Metadata::parse("{}").unwrap());
        inner.rename(workspace, id, version, &rename).await
    }
}

#[test]
fn a_rename_that_replaces_what_it_does_not_name_is_caught() {
    assert_caught::<LosesMetadata>(&["conditional_update"]);
}

/// Counts a use as a change.
#[derive(Clone, Debug, Default)]
struct TouchCounts;

#[async_trait]
impl Fault for TouchCounts {
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
            // Refused if it is revoked, or was changed just now.
            drop(
                inner
                    .rename(&key.workspace, id, version, &Rename::new(None, None))
                    .await,
            );
        }
        Ok(())
    }
}

#[test]
fn a_touch_that_makes_a_version_is_caught() {
    assert_caught::<TouchCounts>(&["touch_is_no_write", "changes"]);
}

/// Notes the use that was told last, and not the latest.
#[derive(Clone, Debug, Default)]
struct TouchGoesBack(Shared<HashMap<KeyId, Timestamp>>);

#[async_trait]
impl Fault for TouchGoesBack {
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
        self.0.with(|noted| noted.extend(uses.iter().copied()));
        inner.touch(uses).await
    }
}

#[test]
fn a_touch_that_goes_back_is_caught() {
    assert_caught::<TouchGoesBack>(&["touch_is_no_write"]);
}
