//! Stores that break clauses 7 and 8.

use std::{collections::HashMap, fmt::Debug};

use async_trait::async_trait;
use keywright_core::{
    Event, Key, KeyId, MemoryStore, Name, Timestamp, VersionedKey, Workspace,
    store::{Credential, KeyStore, Record, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, pause},
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
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let current = inner
            .find(id)
            .await?
            .map_or(version, |record| record.version);
        inner.update(workspace, id, current, settings, event).await
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
    assert_fails_only::<KeepsTheTag>(&["conditional_update", "aliases"]);
}

/// Copies one setting of a key to the settings of an update.
trait KeptSetting: Clone + Debug + Default + Send + Sync + 'static {
    fn keep(key: Key, settings: &mut Settings);
}

/// An update that does not replace one of the settings.
#[derive(Clone, Debug, Default)]
struct Keeps<S>(S);

#[async_trait]
impl<S: KeptSetting> Fault for Keeps<S> {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let mut settings = settings.clone();
        if let Some(record) = inner.find(id).await? {
            S::keep(record.key, &mut settings);
        }
        inner.update(workspace, id, version, &settings, event).await
    }
}

macro_rules! an_update_that_keeps_a_setting_is_caught {
    ($($test:ident: $kept:ident $setting:ident fails $($clause:literal)+;)+) => {
        $(
            #[derive(Clone, Debug, Default)]
            struct $kept;

            impl KeptSetting for $kept {
                fn keep(key: Key, settings: &mut Settings) {
                    settings.$setting = key.$setting;
                }
            }

            #[test]
            fn $test() {
                assert_fails_only::<Keeps<$kept>>(&[$($clause),+]);
            }
        )+
    };
}

an_update_that_keeps_a_setting_is_caught! {
    an_update_that_keeps_the_name_is_caught: KeptName name fails "conditional_update" "aliases";
    an_update_that_keeps_the_permissions_is_caught: KeptPermissions permissions fails
        "conditional_update";
    an_update_that_keeps_the_metadata_is_caught: KeptMetadata metadata fails
        "conditional_update" "format";
    an_update_that_keeps_the_attributes_is_caught: KeptAttributes attributes fails
        "conditional_update" "format";
    // Paused keys also create keys and rotate others, and are listed as active.
    an_update_that_keeps_a_key_enabled_is_caught: KeptEnabled enabled fails
        "atomic_insert" "atomic_rotate" "conditional_update" "listing";
    // A purge also takes the key for expired or not.
    an_update_that_keeps_the_expiry_is_caught: KeptExpiry expires_at fails
        "conditional_update" "listing" "format" "purge";
    an_update_that_keeps_the_addresses_is_caught: KeptAddresses allowed_ips fails
        "conditional_update" "format";
}

/// An update in two steps, the first of which is visible for a moment.
#[derive(Clone, Debug, Default)]
struct UpdatesInTwoSteps(Shared<HashMap<KeyId, Name>>);

#[async_trait]
impl Fault for UpdatesInTwoSteps {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let mut found = inner.find(id).await?;
        if let Some(record) = &mut found
            && let Some(name) = self.0.with(|early| early.get(id).cloned())
        {
            record.key.name = name;
        }
        Ok(found)
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
        let found = inner.find(id).await?;
        let is_allowed = found.is_some_and(|record| {
            record.check_version(version).is_ok() && record.key.workspace == *workspace
        });
        if is_allowed {
            self.0
                .with(|early| early.insert(*id, settings.name.clone()));
            pause();
        }
        let result = inner.update(workspace, id, version, settings, event).await;
        self.0.with(|early| early.remove(id));
        result
    }
}

#[test]
fn an_update_that_is_visible_in_parts_is_caught() {
    assert_fails_only::<UpdatesInTwoSteps>(&["conditional_update"]);
}

/// An update that ignores the version, and keeps a name that has changed since that version.
#[derive(Clone, Debug, Default)]
struct MergesUpdates(Shared<HashMap<(KeyId, u64), Settings>>);

#[async_trait]
impl Fault for MergesUpdates {
    async fn update(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let Some(current) = inner.find(id).await? else {
            return inner.update(workspace, id, version, settings, event).await;
        };
        let now = Settings::from(&current.key);
        let base = self.0.with(|versions| {
            versions.insert((*id, current.version), now.clone());
            versions.get(&(*id, version)).cloned()
        });
        let mut merged = settings.clone();
        if let Some(base) = base
            && base.name != now.name
        {
            merged.name = now.name;
        }
        inner
            .update(workspace, id, current.version, &merged, event)
            .await
    }
}

#[test]
fn an_update_that_merges_with_another_is_caught() {
    assert_fails_only::<MergesUpdates>(&["conditional_update"]);
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
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let mut settings = settings.clone();
        if settings.metadata.is_none()
            && let Some(record) = inner.find(id).await?
        {
            settings.metadata = record.key.metadata;
        }
        inner.update(workspace, id, version, &settings, event).await
    }
}

#[test]
fn an_update_that_cannot_clear_a_setting_is_caught() {
    // Clause 15 also removes the metadata.
    assert_fails_only::<KeepsMetadata>(&["conditional_update", "format"]);
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
            drop(
                inner
                    .update(&key.workspace, id, version, &unchanged, None)
                    .await,
            );
        }
        Ok(())
    }
}

#[test]
fn a_touch_that_increments_the_version_is_caught() {
    assert_fails_only::<TouchIncrementsVersion>(&["touch_is_no_write", "changes", "aliases"]);
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
