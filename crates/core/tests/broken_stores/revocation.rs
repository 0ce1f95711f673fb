//! Clauses 4, 5 and 6 broken.

use std::{
    collections::{HashMap, HashSet},
    marker::PhantomData,
};

use async_trait::async_trait;
use keywright_core::{
    Credential, Key, KeyId, KeyStore, MemoryStore, Purge, Reach, Record, Rename, Revocation,
    Rotation, StoreError, StoreErrorKind, Timestamp, Workspace,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared, all_keys, gap},
};

/// Remembers in each handle what that has found, until a write; but a revocation is told to no other
/// handle.
#[derive(Debug, Default)]
struct StaleCopies {
    writes: Shared<u64>,
    copies: Shared<(u64, HashMap<KeyId, Record>)>,
}

impl Clone for StaleCopies {
    fn clone(&self) -> Self {
        Self {
            writes: self.writes.clone(),
            copies: Shared::default(),
        }
    }
}

impl StaleCopies {
    fn written(&self) {
        self.writes.with(|writes| *writes += 1);
    }
}

#[async_trait]
impl Fault for StaleCopies {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let writes = self.writes.with(|writes| *writes);
        let copy = self.copies.with(|(as_of, copies)| {
            if *as_of != writes {
                *as_of = writes;
                copies.clear();
            }
            copies.get(id).cloned()
        });
        if copy.is_some() {
            return Ok(copy);
        }
        let found = inner.find(id).await?;
        if let Some(record) = &found {
            self.copies
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
    ) -> Result<Revocation, StoreError> {
        let answer = inner.revoke(workspace, id, reach, now).await;
        self.copies.with(|(_, copies)| copies.clear());
        answer
    }

    async fn rename(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let answer = inner.rename(workspace, id, version, rename).await;
        self.written();
        answer
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let answer = inner.rotate(workspace, rotation, now).await;
        self.written();
        answer
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let answer = inner.rehash(id, version, credential).await;
        self.written();
        answer
    }

    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        let answer = inner.touch(uses).await;
        self.written();
        answer
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let answer = inner.purge(purge).await;
        self.written();
        answer
    }
}

#[test]
fn a_handle_that_still_shows_a_revoked_key_is_caught() {
    // What it shows late it tells early.
    assert_caught::<StaleCopies>(&["monotone_revocation", "changes"]);
}

/// Keys that a late write has brought back to life.
#[derive(Clone, Debug, Default)]
struct Risen(Shared<HashSet<KeyId>>);

impl Risen {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let mut found = inner.find(id).await?;
        if let Some(record) = &mut found
            && self.0.with(|risen| risen.contains(id))
        {
            record.key.revoked_at = None;
        }
        Ok(found)
    }

    fn add(&self, id: KeyId) {
        self.0.with(|risen| risen.insert(id));
    }
}

/// Renames by reading the record, and writing it whole a moment later.
#[derive(Clone, Debug, Default)]
struct RenameWritesItAll(Risen);

#[async_trait]
impl Fault for RenameWritesItAll {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn rename(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let read = inner.find(id).await?;
        gap();
        let answer = inner.rename(workspace, id, version, rename).await;
        match (answer, read) {
            (Err(error), Some(Record { key, .. }))
                if key.revoked_at.is_none()
                    && key.workspace == *workspace
                    && error.kind() == StoreErrorKind::NotFound =>
            {
                self.0.add(*id);
                Ok(key)
            }
            (answer, _) => answer,
        }
    }
}

#[test]
fn a_late_rename_that_undoes_a_revocation_is_caught() {
    assert_caught::<RenameWritesItAll>(&["monotone_revocation"]);
}

/// The same with a rehash.
#[derive(Clone, Debug, Default)]
struct RehashWritesItAll(Risen);

#[async_trait]
impl Fault for RehashWritesItAll {
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
        gap();
        let answer = inner.rehash(id, version, credential).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::NotFound)
            && read.is_some_and(|record| record.key.revoked_at.is_none())
        {
            self.0.add(*id);
            return Ok(());
        }
        answer
    }
}

#[test]
fn a_late_rehash_that_undoes_a_revocation_is_caught() {
    assert_caught::<RehashWritesItAll>(&["monotone_revocation"]);
}

/// Takes a use for a sign of life.
#[derive(Clone, Debug, Default)]
struct TouchRevives(Risen);

#[async_trait]
impl Fault for TouchRevives {
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
    // It is a write of the record, too.
    assert_caught::<TouchRevives>(&["monotone_revocation", "touch_is_no_write"]);
}

/// Says of each revocation that it was the first.
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
    ) -> Result<Revocation, StoreError> {
        let Revocation { count, .. } = inner.revoke(workspace, id, reach, now).await?;
        Ok(Revocation::new(true, count))
    }
}

#[test]
fn a_second_first_revocation_is_caught() {
    assert_caught::<AlwaysFirst>(&["idempotent_revoke"]);
}

/// Writes the time of the latest revocation over the first.
#[derive(Clone, Debug, Default)]
struct MovesTheTime(Shared<HashMap<KeyId, Timestamp>>);

#[async_trait]
impl Fault for MovesTheTime {
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
    ) -> Result<Revocation, StoreError> {
        let answer = inner.revoke(workspace, id, reach, now).await?;
        self.0.with(|times| times.insert(*id, now));
        Ok(answer)
    }
}

#[test]
fn a_revocation_whose_time_moves_is_caught() {
    assert_caught::<MovesTheTime>(&["idempotent_revoke"]);
}

/// Which keys a cascade goes on to.
trait Step: Send + Sync + std::fmt::Debug + 'static {
    fn leads(root: &KeyId, from: &Key, to: &Key) -> bool;
}

/// Revokes the key and then, one by one, what it is led to.
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
    ) -> Result<Revocation, StoreError> {
        let keys = all_keys(inner, workspace).await?;
        let Revocation {
            first, mut count, ..
        } = inner.revoke(workspace, root, Reach::Key, now).await?;
        if reach == Reach::Key {
            return Ok(Revocation::new(first, count));
        }
        // What was inserted before the root was revoked, seen as it was then.
        let mut all = all_keys(inner, workspace).await?;
        for key in &mut all {
            if let Some(then) = keys.iter().find(|then| then.id == key.id) {
                key.revoked_at = then.revoked_at;
            }
        }
        let mut reached: Vec<&Key> = all.iter().filter(|key| key.id == *root).collect();
        while let Some(from) = reached.pop() {
            for to in all.iter().filter(|to| S::leads(root, from, to)) {
                count += inner
                    .revoke(workspace, &to.id, Reach::Key, now)
                    .await?
                    .count;
                reached.push(to);
            }
        }
        Ok(Revocation::new(first, count))
    }
}

fn is_next(from: &Key, to: &Key) -> bool {
    to.parent == Some(from.id) || from.successor == Some(to.id)
}

#[derive(Debug)]
struct ToChildrenOnly;

impl Step for ToChildrenOnly {
    fn leads(root: &KeyId, from: &Key, to: &Key) -> bool {
        is_next(from, to) && from.id == *root
    }
}

#[test]
fn a_cascade_of_one_step_is_caught() {
    assert_caught::<Cascade<ToChildrenOnly>>(&["cascade", "changes"]);
}

#[derive(Debug)]
struct ThroughLivingKeys;

impl Step for ThroughLivingKeys {
    fn leads(_: &KeyId, from: &Key, to: &Key) -> bool {
        is_next(from, to) && from.revoked_at.is_none()
    }
}

#[test]
fn a_cascade_that_ends_at_revoked_keys_is_caught() {
    assert_caught::<Cascade<ThroughLivingKeys>>(&["cascade"]);
}

#[derive(Debug)]
struct NotThroughRotations;

impl Step for NotThroughRotations {
    fn leads(_: &KeyId, from: &Key, to: &Key) -> bool {
        to.parent == Some(from.id)
    }
}

#[test]
fn a_cascade_that_misses_successors_is_caught() {
    assert_caught::<Cascade<NotThroughRotations>>(&["cascade"]);
}

/// Revokes also the keys that the root has replaced.
#[derive(Debug)]
struct BackToPredecessors;

impl Step for BackToPredecessors {
    fn leads(_: &KeyId, from: &Key, to: &Key) -> bool {
        // A predecessor leads back to its successor: not to go round for ever.
        to.revoked_at.is_none() && to.successor == Some(from.id) || to.parent == Some(from.id)
    }
}

#[test]
fn a_cascade_that_reaches_back_is_caught() {
    assert_caught::<Cascade<BackToPredecessors>>(&["cascade"]);
}
