//! Clause 14 broken, after a store that is not.

use std::{collections::HashSet, marker::PhantomData};

use async_trait::async_trait;
use keywright_core::{
    Durability, Environment, KeyId, KeyStore, ListKeys, MemoryStore, Page, Record, StoreError,
    StoreErrorKind, Timestamp, Workspace,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared},
};

/// What becomes of damaged records.
trait Reading: Send + Sync + std::fmt::Debug + 'static {
    const SKIPS_IN_FIND: bool = false;
    const SKIPS_IN_LIST: bool = false;
    const BACKEND: &str = "memory";
    const TELLS_THE_CAUSE: bool = true;
    const DURABILITY: Durability = Durability::Process;
}

/// A store whose records can be damaged.
#[derive(Debug)]
struct Damageable<R> {
    damaged: Shared<HashSet<KeyId>>,
    reading: PhantomData<R>,
}

impl<R> Clone for Damageable<R> {
    fn clone(&self) -> Self {
        Self {
            damaged: self.damaged.clone(),
            reading: PhantomData,
        }
    }
}

impl<R> Default for Damageable<R> {
    fn default() -> Self {
        Self {
            damaged: Shared::default(),
            reading: PhantomData,
        }
    }
}

impl<R: Reading> Damageable<R> {
    fn check(&self, id: &KeyId) -> Result<(), StoreError> {
        if self.damaged.with(|damaged| damaged.contains(id)) {
            let corrupt = StoreError::new(StoreErrorKind::Corrupt, R::BACKEND);
            return Err(if R::TELLS_THE_CAUSE {
                corrupt.with_source("damaged on purpose")
            } else {
                corrupt
            });
        }
        Ok(())
    }
}

#[async_trait]
impl<R: Reading> Fault for Damageable<R> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(parent) = &record.key.parent {
            self.check(parent)?;
        }
        inner
            .insert(record, now)
            .await
            .map_err(|error| StoreError::new(error.kind(), R::BACKEND))
    }

    async fn find(&self, inner: &MemoryStore, id: &KeyId) -> Result<Option<Record>, StoreError> {
        match self.check(id) {
            Err(_) if R::SKIPS_IN_FIND => Ok(None),
            Err(corrupt) => Err(corrupt),
            Ok(()) => inner.find(id).await,
        }
    }

    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if R::SKIPS_IN_LIST {
            page.keys.retain(|key| self.check(&key.id).is_ok());
        }
        page.keys.iter().try_for_each(|key| self.check(&key.id))?;
        Ok(page)
    }

    fn durability(&self) -> Durability {
        R::DURABILITY
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.damaged.with(|damaged| damaged.insert(*id));
        true
    }
}

#[derive(Debug)]
struct TellsAll;

impl Reading for TellsAll {}

#[test]
fn a_store_that_tells_of_damage_passes() {
    assert_caught::<Damageable<TellsAll>>(&[]);
}

/// Outlasts its process, as far as the suite can see: what is tried here lives as long as the harness.
#[derive(Debug)]
struct Outlasts;

impl Reading for Outlasts {
    const DURABILITY: Durability = Durability::HostCrash;
}

#[test]
fn a_store_that_outlasts_its_process_passes() {
    assert_caught::<Damageable<Outlasts>>(&[]);
}

#[derive(Debug)]
struct HidesTheCause;

impl Reading for HidesTheCause {
    const TELLS_THE_CAUSE: bool = false;
}

#[test]
fn a_store_that_does_not_tell_the_cause_is_caught() {
    assert_caught::<Damageable<HidesTheCause>>(&["errors"]);
}

#[derive(Debug)]
struct SkipsInFind;

impl Reading for SkipsInFind {
    const SKIPS_IN_FIND: bool = true;
}

#[test]
fn a_damaged_record_that_is_not_found_is_caught() {
    assert_caught::<Damageable<SkipsInFind>>(&["errors"]);
}

#[derive(Debug)]
struct SkipsInList;

impl Reading for SkipsInList {
    const SKIPS_IN_LIST: bool = true;
}

#[test]
fn a_damaged_record_that_is_not_listed_is_caught() {
    assert_caught::<Damageable<SkipsInList>>(&["errors"]);
}

#[derive(Debug)]
struct OtherName;

impl Reading for OtherName {
    const BACKEND: &str = "memory: insert";
}

#[test]
fn a_store_of_two_names_is_caught() {
    assert_caught::<Damageable<OtherName>>(&["errors"]);
}
