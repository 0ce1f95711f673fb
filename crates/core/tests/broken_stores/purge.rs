//! Clause 16 broken.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use keywright_core::{Key, KeyId, KeyStore, MemoryStore, Purge, Record, StoreError, Workspace};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared, all_keys},
};

/// Takes also what was revoked at the very time.
#[derive(Clone, Debug, Default)]
struct EndIncluded;

#[async_trait]
impl Fault for EndIncluded {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut later = purge.clone();
        later.revoked_before = purge
            .revoked_before
            .saturating_add(Duration::from_millis(1));
        inner.purge(&later).await
    }
}

#[test]
fn a_purge_of_what_was_revoked_at_that_time_is_caught() {
    assert_caught::<EndIncluded>(&["purge"]);
}

/// Does not look at the workspace.
#[derive(Clone, Debug, Default)]
struct AnyWorkspace;

#[async_trait]
impl Fault for AnyWorkspace {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let everywhere = Purge::new(purge.revoked_before, purge.limit);
        inner.purge(&everywhere).await
    }
}

#[test]
fn a_purge_of_other_workspaces_is_caught() {
    assert_caught::<AnyWorkspace>(&["purge"]);
}

/// Deletes all that there is in one step.
#[derive(Clone, Debug, Default)]
struct WithoutLimit;

#[async_trait]
impl Fault for WithoutLimit {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut all = purge.clone();
        all.limit = u32::MAX;
        inner.purge(&all).await
    }
}

#[test]
fn a_purge_without_a_limit_is_caught() {
    assert_caught::<WithoutLimit>(&["purge"]);
}

/// Deletes nothing, and says so.
#[derive(Clone, Debug, Default)]
struct NothingGoes;

#[async_trait]
impl Fault for NothingGoes {
    async fn purge(&self, _: &MemoryStore, _: &Purge) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[test]
fn a_purge_that_does_nothing_is_caught() {
    assert_caught::<NothingGoes>(&["purge"]);
}

/// Keys that a purge has taken beyond what it may.
#[derive(Clone, Debug, Default)]
struct Taken(Shared<HashSet<KeyId>>);

impl Taken {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let taken = self.0.with(|taken| taken.contains(id));
        Ok(inner.find(id).await?.filter(|_| !taken))
    }

    /// Purges, and takes whatever else of the suite's workspace is meant.
    async fn purge(
        &self,
        inner: &MemoryStore,
        purge: &Purge,
        meant: impl Fn(&Key) -> bool + Send,
    ) -> Result<u64, StoreError> {
        let count = inner.purge(purge).await?;
        let acme = Workspace::parse("acme").unwrap();
        let mut more = all_keys(inner, &acme).await?;
        more.retain(meant);
        Ok(more.into_iter().fold(count, |count, key| {
            count + u64::from(self.0.with(|taken| taken.insert(key.id)))
        }))
    }
}

/// Does not look at what descends from a key.
#[derive(Clone, Debug, Default)]
struct CutsFamilies(Taken);

#[async_trait]
impl Fault for CutsFamilies {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        self.0.purge(inner, purge, |key| purge.covers(key)).await
    }
}

#[test]
fn a_purge_that_cuts_a_family_is_caught() {
    assert_caught::<CutsFamilies>(&["purge"]);
}

/// Looks at children and not at successors.
#[derive(Clone, Debug, Default)]
struct ForgetsRotations(Taken);

#[async_trait]
impl Fault for ForgetsRotations {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let acme = Workspace::parse("acme").unwrap();
        let keys = all_keys(inner, &acme).await?;
        let parents: HashSet<KeyId> = keys.iter().filter_map(|key| key.parent).collect();
        let meant = |key: &Key| purge.covers(key) && !parents.contains(&key.id);
        self.0.purge(inner, purge, meant).await
    }
}

#[test]
fn a_purge_that_takes_a_predecessor_is_caught() {
    assert_caught::<ForgetsRotations>(&["purge"]);
}

/// Takes what has expired for what was revoked.
#[derive(Clone, Debug, Default)]
struct TakesExpired(Taken);

#[async_trait]
impl Fault for TakesExpired {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let before = purge.revoked_before;
        let expired = |key: &Key| key.revoked_at.is_none() && key.is_expired(before);
        self.0.purge(inner, purge, expired).await
    }
}

#[test]
fn a_purge_of_expired_keys_is_caught() {
    assert_caught::<TakesExpired>(&["purge"]);
}
