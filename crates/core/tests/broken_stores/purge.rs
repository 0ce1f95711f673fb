//! Stores that break clause 16.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    marker::PhantomData,
    time::Duration,
};

use async_trait::async_trait;
use keywright_core::{
    Event, Key, KeyId, MemoryStore, Timestamp, Workspace,
    store::{KeyStore, Purge, Record, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, all_keys},
};

fn just_after(time: Timestamp) -> Timestamp {
    time.saturating_add(Duration::from_millis(1))
}

/// A purge that includes keys revoked exactly at the given time.
#[derive(Clone, Debug, Default)]
struct TimeIncluded;

#[async_trait]
impl Fault for TimeIncluded {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut later = purge.clone();
        later.revoked_before = purge.revoked_before.map(just_after);
        inner.purge(&later).await
    }
}

#[test]
fn a_purge_of_keys_revoked_at_the_given_time_is_caught() {
    assert_fails_only::<TimeIncluded>(&["purge"]);
}

/// A purge that ignores the workspace.
#[derive(Clone, Debug, Default)]
struct AnyWorkspace;

#[async_trait]
impl Fault for AnyWorkspace {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut everywhere = purge.clone();
        everywhere.workspace = None;
        inner.purge(&everywhere).await
    }
}

#[test]
fn a_purge_of_other_workspaces_is_caught() {
    assert_fails_only::<AnyWorkspace>(&["purge"]);
}

/// A purge that ignores the limit.
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
    assert_fails_only::<WithoutLimit>(&["purge"]);
}

/// A purge that deletes nothing and returns 0.
#[derive(Clone, Debug, Default)]
struct DeletesNothing;

#[async_trait]
impl Fault for DeletesNothing {
    async fn purge(&self, _: &MemoryStore, _: &Purge) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[test]
fn a_purge_that_deletes_nothing_is_caught() {
    assert_fails_only::<DeletesNothing>(&["purge", "aliases"]);
}

/// The keys that a faulty purge deleted in addition.
#[derive(Clone, Debug, Default)]
struct WronglyDeleted(Shared<HashSet<KeyId>>);

impl WronglyDeleted {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let deleted = self.0.with(|deleted| deleted.contains(id));
        Ok(inner.find(id).await?.filter(|_| !deleted))
    }

    /// Purges, and also deletes the keys of the suite's workspace that `also` selects.
    async fn purge(
        &self,
        inner: &MemoryStore,
        purge: &Purge,
        also: impl Fn(&Key) -> bool + Send,
    ) -> Result<u64, StoreError> {
        let acme = Workspace::parse("acme").unwrap();
        self.purge_in(inner, purge, &acme, also).await
    }

    /// Purges, and also deletes the keys of a workspace that `also` selects.
    async fn purge_in(
        &self,
        inner: &MemoryStore,
        purge: &Purge,
        workspace: &Workspace,
        also: impl Fn(&Key) -> bool + Send,
    ) -> Result<u64, StoreError> {
        let count = inner.purge(purge).await?;
        let mut more = all_keys(inner, workspace).await?;
        more.retain(also);
        Ok(more.into_iter().fold(count, |count, key| {
            count + u64::from(self.0.with(|deleted| deleted.insert(key.id)))
        }))
    }
}

/// A purge that ignores descendants.
#[derive(Clone, Debug, Default)]
struct IgnoresDescendants(WronglyDeleted);

#[async_trait]
impl Fault for IgnoresDescendants {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        self.0.purge(inner, purge, |key| purge.covers(key)).await
    }
}

#[test]
fn a_purge_of_a_key_with_descendants_is_caught() {
    assert_fails_only::<IgnoresDescendants>(&["purge"]);
}

/// A purge that checks for children, but not for successors.
#[derive(Clone, Debug, Default)]
struct IgnoresSuccessors(WronglyDeleted);

#[async_trait]
impl Fault for IgnoresSuccessors {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let acme = Workspace::parse("acme").unwrap();
        let keys = all_keys(inner, &acme).await?;
        let receivers: HashSet<KeyId> = keys
            .iter()
            .flat_map(|key| [key.parent, key.rotated_by])
            .flatten()
            .collect();
        let selected = |key: &Key| purge.covers(key) && !receivers.contains(&key.id);
        self.0.purge(inner, purge, selected).await
    }
}

#[test]
fn a_purge_of_a_key_with_a_successor_is_caught() {
    assert_fails_only::<IgnoresSuccessors>(&["purge"]);
}

/// A purge that checks for children and successors, but not for keys received by rotation.
#[derive(Clone, Debug, Default)]
struct IgnoresReceivedKeys(WronglyDeleted);

#[async_trait]
impl Fault for IgnoresReceivedKeys {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let acme = Workspace::parse("acme").unwrap();
        let keys = all_keys(inner, &acme).await?;
        let ids: HashSet<KeyId> = keys.iter().map(|key| key.id).collect();
        let parents: HashSet<KeyId> = keys.iter().filter_map(|key| key.parent).collect();
        let selected = |key: &Key| {
            purge.covers(key)
                && !parents.contains(&key.id)
                && !key.successor.is_some_and(|id| ids.contains(&id))
        };
        self.0.purge(inner, purge, selected).await
    }
}

#[test]
fn a_purge_of_a_key_that_received_another_is_caught() {
    assert_fails_only::<IgnoresReceivedKeys>(&["purge"]);
}

/// A purge of revoked keys that also deletes expired keys.
#[derive(Clone, Debug, Default)]
struct DeletesExpired(WronglyDeleted);

#[async_trait]
impl Fault for DeletesExpired {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.0.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let expired = |key: &Key| {
            let before = purge.revoked_before;
            key.revoked_at.is_none() && before.is_some_and(|time| key.is_expired(time))
        };
        self.0.purge(inner, purge, expired).await
    }
}

#[test]
fn a_purge_of_expired_keys_is_caught() {
    assert_fails_only::<DeletesExpired>(&["purge"]);
}

/// A purge that includes keys which expire exactly at the given time.
#[derive(Clone, Debug, Default)]
struct ExpiryIncluded;

#[async_trait]
impl Fault for ExpiryIncluded {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut later = purge.clone();
        later.expired_before = purge.expired_before.map(just_after);
        inner.purge(&later).await
    }
}

#[test]
fn a_purge_of_keys_that_expire_at_the_given_time_is_caught() {
    assert_fails_only::<ExpiryIncluded>(&["purge"]);
}

/// A purge that ignores the time of expiry.
#[derive(Clone, Debug, Default)]
struct IgnoresExpiry;

#[async_trait]
impl Fault for IgnoresExpiry {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut revoked = purge.clone();
        revoked.expired_before = None;
        inner.purge(&revoked).await
    }
}

#[test]
fn a_purge_that_keeps_expired_keys_is_caught() {
    assert_fails_only::<IgnoresExpiry>(&["purge"]);
}

/// A purge that with both times deletes only keys that were revoked.
#[derive(Clone, Debug, Default)]
struct OneTimeOnly;

#[async_trait]
impl Fault for OneTimeOnly {
    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let mut one = purge.clone();
        if one.revoked_before.is_some() {
            one.expired_before = None;
        }
        inner.purge(&one).await
    }
}

#[test]
fn a_purge_by_one_of_two_times_is_caught() {
    assert_fails_only::<OneTimeOnly>(&["purge"]);
}

/// A rule by which a purge deletes keys of its workspace in addition.
trait AlsoDeleted: Clone + Debug + Default + Send + Sync + 'static {
    fn deletes(purge: &Purge, key: &Key) -> bool;
}

/// A purge by expiry that deletes more keys.
#[derive(Clone, Debug, Default)]
struct DeletesMore<R> {
    deleted: WronglyDeleted,
    rule: PhantomData<R>,
}

#[async_trait]
impl<R: AlsoDeleted> Fault for DeletesMore<R> {
    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.deleted.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let deleted = |key: &Key| R::deletes(purge, key);
        match &purge.workspace {
            Some(workspace) if purge.expired_before.is_some() => {
                let deleted = self.deleted.purge_in(inner, purge, workspace, deleted);
                deleted.await
            }
            _ => inner.purge(purge).await,
        }
    }
}

/// A purge that takes the end of a key without one for 0.
#[derive(Clone, Debug, Default)]
struct NoEndIsZero;

impl AlsoDeleted for NoEndIsZero {
    fn deletes(_: &Purge, key: &Key) -> bool {
        key.expires_at.is_none() && key.revoked_at.is_none()
    }
}

#[test]
fn a_purge_by_expiry_of_a_key_that_never_expires_is_caught() {
    assert_fails_only::<DeletesMore<NoEndIsZero>>(&["purge"]);
}

/// A purge that takes disabled keys for expired.
#[derive(Clone, Debug, Default)]
struct DisabledIsExpired;

impl AlsoDeleted for DisabledIsExpired {
    fn deletes(_: &Purge, key: &Key) -> bool {
        !key.enabled
    }
}

#[test]
fn a_purge_of_disabled_keys_is_caught() {
    assert_fails_only::<DeletesMore<DisabledIsExpired>>(&["purge"]);
}

/// A purge by expiry that ignores descendants.
#[derive(Clone, Debug, Default)]
struct ExpiredWithDescendants;

impl AlsoDeleted for ExpiredWithDescendants {
    fn deletes(purge: &Purge, key: &Key) -> bool {
        key.revoked_at.is_none() && purge.covers(key)
    }
}

#[test]
fn a_purge_of_an_expired_key_with_descendants_is_caught() {
    assert_fails_only::<DeletesMore<ExpiredWithDescendants>>(&["purge"]);
}

/// A purge that uses the end that each key had when it was inserted.
#[derive(Clone, Debug, Default)]
struct FirstExpiry {
    ends: Shared<HashMap<KeyId, Timestamp>>,
    deleted: WronglyDeleted,
}

#[async_trait]
impl Fault for FirstExpiry {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.insert(record, now, event).await?;
        if let Key {
            id,
            expires_at: Some(end),
            ..
        } = record.key
        {
            self.ends.with(|ends| ends.insert(id, end));
        }
        Ok(())
    }

    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.deleted.find(inner, id).await
    }

    async fn purge(&self, inner: &MemoryStore, purge: &Purge) -> Result<u64, StoreError> {
        let ends = self.ends.with(|ends| ends.clone());
        let deleted = |key: &Key| {
            let end = ends.get(&key.id).zip(purge.expired_before);
            key.revoked_at.is_none() && end.is_some_and(|(end, before)| *end < before)
        };
        match &purge.workspace {
            Some(workspace) => {
                let deleted = self.deleted.purge_in(inner, purge, workspace, deleted);
                deleted.await
            }
            None => inner.purge(purge).await,
        }
    }
}

#[test]
fn a_purge_by_the_first_expiry_of_a_key_is_caught() {
    assert_fails_only::<FirstExpiry>(&["purge"]);
}
