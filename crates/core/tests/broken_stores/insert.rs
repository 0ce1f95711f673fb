//! Clause 1 broken.

use async_trait::async_trait;
use keywright_core::{
    KeyStore, MemoryStore, Record, Rename, Status, StoreError, StoreErrorKind, Timestamp,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, force, gap},
};

/// Takes an insert of an id that exists for an update.
#[derive(Clone, Debug, Default)]
struct Upsert;

#[async_trait]
impl Fault for Upsert {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match inner.insert(record, now).await {
            Err(error) if error.kind() == StoreErrorKind::AlreadyExists => {
                let old = inner.find(&record.key.id).await?.expect("it exists");
                let Record {
                    key, credential, ..
                } = record;
                let rename = Rename::new(Some(key.name.clone()), key.metadata.clone());
                inner
                    .rename(&old.key.workspace, &key.id, old.version, &rename)
                    .await?;
                inner.rehash(&key.id, old.version + 1, credential).await
            }
            answer => answer,
        }
    }
}

#[test]
fn an_upsert_is_caught() {
    // It hands out the first key of an empty store more than once, too.
    assert_caught::<Upsert>(&["atomic_insert", "reservation"]);
}

/// Looks whether the id is free, and then inserts, whatever has happened in between.
#[derive(Clone, Debug, Default)]
struct LooksFirst;

#[async_trait]
impl Fault for LooksFirst {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let free = inner.find(&record.key.id).await?.is_none();
        gap();
        match inner.insert(record, now).await {
            Err(error) if free && error.kind() == StoreErrorKind::AlreadyExists => Ok(()),
            answer => answer,
        }
    }
}

#[test]
fn two_winners_of_one_id_are_caught() {
    // As above.
    assert_caught::<LooksFirst>(&["atomic_insert", "reservation"]);
}

/// Does not look at the parent.
#[derive(Clone, Debug, Default)]
struct AnyParent;

#[async_trait]
impl Fault for AnyParent {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match inner.insert(record, now).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => {
                force(inner, record, now).await
            }
            answer => answer,
        }
    }
}

#[test]
fn a_child_of_any_parent_is_caught() {
    // A cascade does not meet the children that are admitted in its midst, either.
    assert_caught::<AnyParent>(&["atomic_insert", "cascade"]);
}

async fn is_parent_active(
    inner: &MemoryStore,
    record: &Record,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let parent = match &record.key.parent {
        Some(parent) => inner.find(parent).await?,
        None => None,
    };
    Ok(parent.is_some_and(|Record { key, .. }| {
        key.workspace == record.key.workspace && key.status(now) == Status::Active
    }))
}

/// Does not look when the parent ends, as long as it is active.
#[derive(Clone, Debug, Default)]
struct AnyEnd;

#[async_trait]
impl Fault for AnyEnd {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let refused = match inner.insert(record, now).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => error,
            answer => return answer,
        };
        if is_parent_active(inner, record, now).await? {
            force(inner, record, now).await
        } else {
            Err(refused)
        }
    }
}

#[test]
fn a_child_that_outlives_its_parent_is_caught() {
    assert_caught::<AnyEnd>(&["atomic_insert"]);
}

/// Admits a parent that expires at this very moment.
#[derive(Clone, Debug, Default)]
struct EndIncluded;

#[async_trait]
impl Fault for EndIncluded {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        inner
            .insert(record, Timestamp::from_millis(now.as_millis() - 1).unwrap())
            .await
    }
}

#[test]
fn a_parent_at_its_end_is_caught() {
    assert_caught::<EndIncluded>(&["atomic_insert"]);
}

/// Looks at the parent, and then inserts, whatever has happened in between.
#[derive(Clone, Debug, Default)]
struct LooksAtParentFirst;

#[async_trait]
impl Fault for LooksAtParentFirst {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if record.key.parent.is_none() {
            return inner.insert(record, now).await;
        }
        let admitted = is_parent_active(inner, record, now).await?;
        gap();
        match inner.insert(record, now).await {
            Err(error) if admitted && error.kind() == StoreErrorKind::Conflict => {
                force(inner, record, now).await
            }
            answer => answer,
        }
    }
}

#[test]
fn a_child_that_slips_in_is_caught() {
    // Both clauses speak of it: with a child and with a grandchild.
    assert_caught::<LooksAtParentFirst>(&["atomic_insert", "cascade"]);
}
