//! Stores that break clauses 4, 5 and 6.

use std::{
    collections::{HashMap, HashSet},
    marker::PhantomData,
};

use async_trait::async_trait;
use keywright_core::{
    Event, Key, KeyId, MemoryStore, Reach, Revocation, Timestamp, VersionedKey, Workspace,
    store::{Credential, KeyStore, Purge, Record, Rotation, Settings, StoreError, StoreErrorKind},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, all_keys, append_alone, pause},
};

/// A cache in each handle that a revocation through another handle does not invalidate. All other
/// writes clear the caches of all handles.
#[derive(Debug, Default)]
struct StaleCaches {
    writes: Shared<u64>,
    cache: Shared<(u64, HashMap<KeyId, Record>)>,
}

impl Clone for StaleCaches {
    fn clone(&self) -> Self {
        Self {
            writes: self.writes.clone(),
            cache: Shared::default(),
        }
    }
}

impl StaleCaches {
    fn clear_all_caches(&self) {
        self.writes.with(|writes| *writes += 1);
    }
}

#[async_trait]
impl Fault for StaleCaches {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let writes = self.writes.with(|writes| *writes);
        let cached = self.cache.with(|(as_of, copies)| {
            if *as_of != writes {
                *as_of = writes;
                copies.clear();
            }
            copies.get(id).cloned()
        });
        if cached.is_some() {
            return Ok(cached);
        }
        let found = inner.find(id).await?;
        if let Some(record) = &found {
            self.cache
                .with(|(_, copies)| copies.insert(*id, record.clone()));
        }
        Ok(found)
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
        let result = inner.revoke(workspace, id, reach, now, event).await;
        self.cache.with(|(_, copies)| copies.clear());
        result
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
        let result = inner.update(workspace, id, version, settings, event).await;
        self.clear_all_caches();
        result
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let result = inner.rotate(workspace, rotation, now, event).await;
        self.clear_all_caches();
        result
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let result = inner.rehash(id, version, credential).await;
        self.clear_all_caches();
        result
    }

    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        let result = inner.touch(uses).await;
        self.clear_all_caches();
        result
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let result = inner.purge(purge).await;
        self.clear_all_caches();
        result
    }
}

#[test]
fn a_handle_that_still_returns_a_revoked_key_as_active_is_caught() {
    // Lookups return stale copies after the store has invalidated the record. They also miss
    // revocations whose events are listed.
    assert_fails_only::<StaleCaches>(&["monotone_revocation", "changes", "events", "aliases"]);
}

/// The keys that a late write reactivated.
#[derive(Clone, Debug, Default)]
struct Reactivated(Shared<HashSet<KeyId>>);

impl Reactivated {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let mut found = inner.find(id).await?;
        if let Some(record) = &mut found
            && self.0.with(|reactivated| reactivated.contains(id))
        {
            record.key.revoked_at = None;
        }
        Ok(found)
    }

    fn add(&self, id: KeyId) {
        self.0.with(|reactivated| reactivated.insert(id));
    }
}

/// An update that reads the record, and later writes all of it back.
#[derive(Clone, Debug, Default)]
struct UpdateWritesWholeRecord(Reactivated);

#[async_trait]
impl Fault for UpdateWritesWholeRecord {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
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
        let read = inner.find(id).await?;
        pause();
        let result = inner.update(workspace, id, version, settings, event).await;
        // A purge may have deleted the record, which is another fault.
        let is_stored = inner.find(id).await?.is_some();
        match (result, read) {
            (Err(error), Some(Record { key, .. }))
                if is_stored
                    && key.revoked_at.is_none()
                    && key.workspace == *workspace
                    && error.kind() == StoreErrorKind::NotFound =>
            {
                self.0.add(*id);
                Ok(VersionedKey::new(key, version))
            }
            (result, _) => result,
        }
    }
}

#[test]
fn a_late_update_that_undoes_a_revocation_is_caught() {
    assert_fails_only::<UpdateWritesWholeRecord>(&["monotone_revocation"]);
}

/// An update that reactivates a revoked key if it enables a disabled one.
#[derive(Clone, Debug, Default)]
struct EnablesRevokedKeys(Reactivated);

#[async_trait]
impl Fault for EnablesRevokedKeys {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
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
        let result = inner.update(workspace, id, version, settings, event).await;
        if let Some(Record { mut key, .. }) = inner.find(id).await?
            && key.revoked_at.is_some()
            && settings.enabled
            && !std::mem::replace(&mut key.enabled, true)
        {
            self.0.add(*id);
            return Ok(VersionedKey::new(key, version));
        }
        result
    }
}

#[test]
fn an_update_that_enables_a_revoked_key_is_caught() {
    assert_fails_only::<EnablesRevokedKeys>(&["monotone_revocation"]);
}

/// A rehash that reads the record, and later writes all of it back.
#[derive(Clone, Debug, Default)]
struct RehashWritesWholeRecord(Reactivated);

#[async_trait]
impl Fault for RehashWritesWholeRecord {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let read = inner.find(id).await?;
        pause();
        let result = inner.rehash(id, version, credential).await;
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::NotFound)
            && read.is_some_and(|record| record.key.revoked_at.is_none())
        {
            self.0.add(*id);
            return Ok(());
        }
        result
    }
}

#[test]
fn a_late_rehash_that_undoes_a_revocation_is_caught() {
    assert_fails_only::<RehashWritesWholeRecord>(&["monotone_revocation"]);
}

/// A touch that reactivates a revoked key.
#[derive(Clone, Debug, Default)]
struct TouchReactivates(Reactivated);

#[async_trait]
impl Fault for TouchReactivates {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        for (id, _) in uses {
            if inner
                .find(id)
                .await?
                .is_some_and(|record| record.key.revoked_at.is_some())
            {
                self.0.add(*id);
            }
        }
        inner.touch(uses).await
    }
}

#[test]
fn a_touch_that_undoes_a_revocation_is_caught() {
    // Such a touch also writes the record.
    assert_fails_only::<TouchReactivates>(&["monotone_revocation", "touch_is_no_write"]);
}

/// A repeated revocation that is reported as the first.
#[derive(Clone, Debug, Default)]
struct AlwaysFirst;

#[async_trait]
impl Fault for AlwaysFirst {
    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let Revocation { count, .. } = inner.revoke(workspace, id, reach, now, event).await?;
        Ok(Revocation::new(true, count))
    }
}

#[test]
fn a_repeated_revocation_reported_as_the_first_is_caught() {
    assert_fails_only::<AlwaysFirst>(&["idempotent_revoke"]);
}

/// A repeated revocation that overwrites the time of the first.
#[derive(Clone, Debug, Default)]
struct OverwritesTheTime(Shared<HashMap<KeyId, Timestamp>>);

#[async_trait]
impl Fault for OverwritesTheTime {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let mut found = inner.find(id).await?;
        if let Some(record) = &mut found
            && let Some(time) = self.0.with(|times| times.get(id).copied())
        {
            record.key.revoked_at = Some(time);
        }
        Ok(found)
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
        let result = inner.revoke(workspace, id, reach, now, event).await?;
        self.0.with(|times| times.insert(*id, now));
        Ok(result)
    }
}

#[test]
fn a_revocation_whose_time_changes_is_caught() {
    assert_fails_only::<OverwritesTheTime>(&["idempotent_revoke"]);
}

/// The rule by which a cascade finds descendants.
trait Step: Send + Sync + std::fmt::Debug + 'static {
    fn reaches(root: &KeyId, from: &Key, to: &Key) -> bool;
}

/// A cascade that revokes the root, and then each key that the rule reaches.
#[derive(Debug)]
struct Cascade<S>(PhantomData<S>);

impl<S> Clone for Cascade<S> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<S> Default for Cascade<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

#[async_trait]
impl<S: Step> Fault for Cascade<S> {
    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        root: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let keys = all_keys(inner, workspace).await?;
        let Revocation {
            first, mut count, ..
        } = inner
            .revoke(workspace, root, Reach::Key, now, event)
            .await?;
        if reach == Reach::Key {
            return Ok(Revocation::new(first, count));
        }
        // Take the keys that exist after the root was revoked, each in its state from before.
        let mut all = all_keys(inner, workspace).await?;
        for key in &mut all {
            if let Some(before) = keys.iter().find(|before| before.id == key.id) {
                key.revoked_at = before.revoked_at;
            }
        }
        let mut reached: Vec<&Key> = all.iter().filter(|key| key.id == *root).collect();
        let mut seen = HashSet::from([*root]);
        while let Some(from) = reached.pop() {
            for to in all.iter().filter(|to| S::reaches(root, from, to)) {
                if seen.insert(to.id) {
                    count += inner
                        .revoke(workspace, &to.id, Reach::Key, now, event)
                        .await?
                        .count;
                    reached.push(to);
                }
            }
        }
        // Each key replaced the event, and counted only itself.
        if let Some(event) = event
            && count > 0
        {
            append_alone(inner, &event.clone().with_count(count)).await?;
        }
        Ok(Revocation::new(first, count))
    }
}

fn is_next(from: &Key, to: &Key) -> bool {
    [to.parent, to.rotated_by].contains(&Some(from.id)) || from.successor == Some(to.id)
}

/// A cascade that reaches only the first generation.
#[derive(Debug)]
struct OneGeneration;

impl Step for OneGeneration {
    fn reaches(root: &KeyId, from: &Key, to: &Key) -> bool {
        is_next(from, to) && from.id == *root
    }
}

#[test]
fn a_cascade_over_one_generation_is_caught() {
    assert_fails_only::<Cascade<OneGeneration>>(&["cascade", "changes"]);
}

/// A cascade that stops at keys that were already revoked.
#[derive(Debug)]
struct StopsAtRevokedKeys;

impl Step for StopsAtRevokedKeys {
    fn reaches(_: &KeyId, from: &Key, to: &Key) -> bool {
        is_next(from, to) && from.revoked_at.is_none()
    }
}

#[test]
fn a_cascade_that_stops_at_revoked_keys_is_caught() {
    assert_fails_only::<Cascade<StopsAtRevokedKeys>>(&["cascade"]);
}

/// A cascade that misses successors.
#[derive(Debug)]
struct MissesSuccessors;

impl Step for MissesSuccessors {
    fn reaches(_: &KeyId, from: &Key, to: &Key) -> bool {
        [to.parent, to.rotated_by].contains(&Some(from.id))
    }
}

#[test]
fn a_cascade_that_misses_successors_is_caught() {
    assert_fails_only::<Cascade<MissesSuccessors>>(&["cascade"]);
}

/// A cascade that misses keys that were received by rotating another key.
#[derive(Debug)]
struct MissesReceivedKeys;

impl Step for MissesReceivedKeys {
    fn reaches(_: &KeyId, from: &Key, to: &Key) -> bool {
        to.parent == Some(from.id) || from.successor == Some(to.id)
    }
}

#[test]
fn a_cascade_that_misses_keys_received_by_rotation_is_caught() {
    assert_fails_only::<Cascade<MissesReceivedKeys>>(&["cascade"]);
}

/// A cascade that revokes the whole lineage of each key that its root rotated.
#[derive(Debug)]
struct ReachesRotatedKeys;

impl Step for ReachesRotatedKeys {
    fn reaches(_: &KeyId, from: &Key, to: &Key) -> bool {
        is_next(from, to) || to.successor == Some(from.id) && from.rotated_by.is_some()
    }
}

#[test]
fn a_cascade_that_reaches_rotated_keys_is_caught() {
    assert_fails_only::<Cascade<ReachesRotatedKeys>>(&["cascade"]);
}

/// A cascade that also revokes predecessors.
#[derive(Debug)]
struct ReachesPredecessors;

impl Step for ReachesPredecessors {
    fn reaches(_: &KeyId, from: &Key, to: &Key) -> bool {
        to.successor == Some(from.id) || [to.parent, to.rotated_by].contains(&Some(from.id))
    }
}

#[test]
fn a_cascade_that_reaches_predecessors_is_caught() {
    assert_fails_only::<Cascade<ReachesPredecessors>>(&["cascade"]);
}
