//! Stores that break clause 18.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, KeyId, ListKeys, MemoryStore, Page, Timestamp, Workspace,
    store::{Alias, KeyStore, Record, StoreError, StoreErrorKind},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, pause},
};

/// An insert that checks that the alias is free, and then stores it with no more than the record.
#[derive(Clone, Debug, Default)]
struct ChecksAliasBeforeWriting;

#[async_trait]
impl Fault for ChecksAliasBeforeWriting {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let Some(alias) = record.alias else {
            return inner.insert(record, now, event).await;
        };
        let free = inner.find_by_alias(&alias).await?.is_none();
        pause();
        match inner.insert(record, now, event).await {
            Err(error) if free && error.kind() == StoreErrorKind::AlreadyExists => {
                let plain = Record::new(record.key.clone(), record.credential.clone());
                inner.insert(&plain, now, event).await
            }
            result => result,
        }
    }
}

#[test]
fn two_successful_inserts_of_one_alias_are_caught() {
    assert_fails_only::<ChecksAliasBeforeWriting>(&["aliases"]);
}

/// A search that does not find revoked keys.
#[derive(Clone, Debug, Default)]
struct FindsActiveOnly;

#[async_trait]
impl Fault for FindsActiveOnly {
    async fn find_by_alias(
        &self,
        inner: &MemoryStore,
        alias: &Alias,
    ) -> Result<Option<Record>, StoreError> {
        let found = inner.find_by_alias(alias).await?;
        Ok(found.filter(|record| record.key.revoked_at.is_none()))
    }
}

#[test]
fn an_alias_that_does_not_find_a_revoked_key_is_caught() {
    assert_fails_only::<FindsActiveOnly>(&["aliases"]);
}

/// A search that compares aliases as text, without the bytes that are not ASCII.
#[derive(Clone, Debug, Default)]
struct LosesBytes;

fn lossy(record: &Record) -> Record {
    let mut lossy = record.clone();
    lossy.alias = record.alias.map(|alias| {
        Alias::from_bytes(
            alias
                .as_bytes()
                .map(|byte| if byte < 0x80 { byte } else { b'?' }),
        )
    });
    lossy
}

#[async_trait]
impl Fault for LosesBytes {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        inner.insert(&lossy(record), now, event).await
    }
}

#[test]
fn an_alias_that_is_not_kept_exactly_is_caught() {
    assert_fails_only::<LosesBytes>(&["aliases"]);
}

/// A purge that keeps the aliases of the records that it deletes.
#[derive(Clone, Debug, Default)]
struct PurgeKeepsAliases(Arc<Mutex<HashSet<Alias>>>);

#[async_trait]
impl Fault for PurgeKeepsAliases {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let kept = |alias| self.0.lock().unwrap().contains(&alias);
        if record.alias.is_some_and(kept) {
            return Err(StoreError::new(StoreErrorKind::AlreadyExists, "broken"));
        }
        inner.insert(record, now, event).await?;
        self.0.lock().unwrap().extend(record.alias);
        Ok(())
    }
}

#[test]
fn an_alias_that_outlives_its_record_is_caught() {
    assert_fails_only::<PurgeKeepsAliases>(&["aliases"]);
}

/// A list that ignores whether a key was imported.
#[derive(Clone, Debug, Default)]
struct ListsAll;

#[async_trait]
impl Fault for ListsAll {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut all = list.clone();
        all.imported = false;
        inner.list(workspace, environment, &all, now).await
    }
}

#[test]
fn a_list_of_imported_keys_with_others_is_caught() {
    assert_fails_only::<ListsAll>(&["aliases"]);
}
