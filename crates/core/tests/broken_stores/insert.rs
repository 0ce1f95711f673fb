//! Stores that break clause 1.

use async_trait::async_trait;
use keywright_core::{
    Event, Key, MemoryStore, Permissions, Status, Timestamp,
    store::{KeyStore, Record, Settings, StoreError, StoreErrorKind},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, append_alone, force, pause},
};

/// An insert that updates the record if the id exists.
#[derive(Clone, Debug, Default)]
struct Upsert;

#[async_trait]
impl Fault for Upsert {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        match inner.insert(record, now, event).await {
            Err(error) if error.kind() == StoreErrorKind::AlreadyExists => {
                let Some(old) = inner.find(&record.key.id).await? else {
                    return Err(error);
                };
                let Record {
                    key, credential, ..
                } = record;
                inner
                    .update(
                        &old.key.workspace,
                        &key.id,
                        old.version,
                        &Settings::from(key),
                        event,
                    )
                    .await?;
                // Another upsert may have changed the record since. This one has succeeded.
                let _ = inner.rehash(&key.id, old.version + 1, credential).await;
                Ok(())
            }
            result => result,
        }
    }
}

#[test]
fn an_upsert_is_caught() {
    // Several servers also create the first key of an empty store.
    assert_fails_only::<Upsert>(&["atomic_insert", "reservation", "aliases"]);
}

/// An insert that checks that the id is free, and writes without checking again.
#[derive(Clone, Debug, Default)]
struct ChecksIdBeforeWriting;

#[async_trait]
impl Fault for ChecksIdBeforeWriting {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let free = inner.find(&record.key.id).await?.is_none();
        pause();
        match inner.insert(record, now, event).await {
            Err(error) if free && error.kind() == StoreErrorKind::AlreadyExists => match event {
                Some(event) => append_alone(inner, event).await,
                None => Ok(()),
            },
            result => result,
        }
    }
}

#[test]
fn two_successful_inserts_of_one_id_are_caught() {
    // Several servers also create the first key of an empty store.
    assert_fails_only::<ChecksIdBeforeWriting>(&["atomic_insert", "reservation", "aliases"]);
}

/// An insert that does not check the parent.
#[derive(Clone, Debug, Default)]
struct AnyParent;

#[async_trait]
impl Fault for AnyParent {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        match inner.insert(record, now, event).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => {
                force(inner, record, now, event).await
            }
            result => result,
        }
    }
}

#[test]
fn a_child_of_any_parent_is_caught() {
    // A cascade also misses children that are inserted in the meantime.
    assert_fails_only::<AnyParent>(&["atomic_insert", "cascade", "aliases"]);
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

/// An insert that checks that the parent is active, but not when it expires.
#[derive(Clone, Debug, Default)]
struct AnyExpiry;

#[async_trait]
impl Fault for AnyExpiry {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let error = match inner.insert(record, now, event).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => error,
            result => return result,
        };
        if is_parent_active(inner, record, now).await? {
            force(inner, record, now, event).await
        } else {
            Err(error)
        }
    }
}

#[test]
fn a_child_that_outlives_its_parent_is_caught() {
    assert_fails_only::<AnyExpiry>(&["atomic_insert"]);
}

/// An insert that accepts a parent which expires at this moment.
#[derive(Clone, Debug, Default)]
struct ExpiryIncluded;

#[async_trait]
impl Fault for ExpiryIncluded {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner
            .insert(
                record,
                Timestamp::from_millis(now.as_millis() - 1).unwrap(),
                event,
            )
            .await
    }
}

#[test]
fn a_child_of_a_parent_that_expires_now_is_caught() {
    assert_fails_only::<ExpiryIncluded>(&["atomic_insert"]);
}

/// An insert that checks the parent, and writes without checking again.
#[derive(Clone, Debug, Default)]
struct ChecksParentBeforeWriting;

#[async_trait]
impl Fault for ChecksParentBeforeWriting {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        if record.key.parent.is_none() {
            return inner.insert(record, now, event).await;
        }
        let accepted = is_parent_active(inner, record, now).await?;
        pause();
        match inner.insert(record, now, event).await {
            Err(error) if accepted && error.kind() == StoreErrorKind::Conflict => {
                force(inner, record, now, event).await
            }
            result => result,
        }
    }
}

#[test]
fn a_child_inserted_during_a_revocation_is_caught() {
    // Clause 1 covers a child, and clause 6 a grandchild.
    assert_fails_only::<ChecksParentBeforeWriting>(&["atomic_insert", "cascade"]);
}

/// An insert that accepts a disabled parent.
#[derive(Clone, Debug, Default)]
struct DisabledParent;

#[async_trait]
impl Fault for DisabledParent {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        insert_after(inner, record, now, event, |parent| parent.enabled = true).await
    }
}

#[test]
fn a_child_of_a_disabled_parent_is_caught() {
    assert_fails_only::<DisabledParent>(&["atomic_insert"]);
}

/// An insert that accepts a child with permissions that its parent lacks.
#[derive(Clone, Debug, Default)]
struct WeakerParent;

/// An insert that accepts a child from addresses from which its parent may not be used.
#[derive(Clone, Debug, Default)]
struct RestrictedParent;

/// Inserts a record if its parent would admit it after `change`.
async fn insert_after(
    inner: &MemoryStore,
    record: &Record,
    now: Timestamp,
    event: Option<&Event>,
    change: fn(&mut Key),
) -> Result<(), StoreError> {
    let error = match inner.insert(record, now, event).await {
        Err(error) if error.kind() == StoreErrorKind::Conflict => error,
        result => return result,
    };
    let parent = match &record.key.parent {
        Some(parent) => inner.find(parent).await?,
        None => None,
    };
    let is_admitted = parent.is_some_and(|Record { mut key, .. }| {
        change(&mut key);
        key.admits(&record.key, now)
    });
    if is_admitted {
        force(inner, record, now, event).await
    } else {
        Err(error)
    }
}

#[async_trait]
impl Fault for WeakerParent {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        insert_after(inner, record, now, event, |parent| {
            parent.permissions = Permissions::all();
        })
        .await
    }
}

#[async_trait]
impl Fault for RestrictedParent {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        insert_after(inner, record, now, event, |parent| {
            parent.allowed_ips = None
        })
        .await
    }
}

#[test]
fn a_child_with_more_permissions_than_its_parent_is_caught() {
    assert_fails_only::<WeakerParent>(&["atomic_insert"]);
}

#[test]
fn a_child_from_other_addresses_than_its_parent_is_caught() {
    assert_fails_only::<RestrictedParent>(&["atomic_insert"]);
}
