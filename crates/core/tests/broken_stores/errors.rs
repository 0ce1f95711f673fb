//! Stores that break clause 14, and two stores that do not.

use std::{collections::HashSet, marker::PhantomData};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, MemoryStore, Page,
    Timestamp, Workspace,
    store::{Durability, KeyStore, Record, StoreError, StoreErrorKind},
};

use crate::{
    events::DamagedEvents,
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// The way in which a store handles damaged records.
trait DamageHandling: Send + Sync + std::fmt::Debug + 'static {
    const SKIPS_IN_FIND: bool = false;
    const SKIPS_IN_LIST: bool = false;
    const BACKEND: &str = "memory";
    const REPORTS_THE_CAUSE: bool = true;
    const DURABILITY: Durability = Durability::Process;
}

/// A store whose records and events can be damaged. It reports damaged events.
#[derive(Debug)]
struct Damageable<R> {
    damaged: Shared<HashSet<KeyId>>,
    events: DamagedEvents,
    handling: PhantomData<R>,
}

impl<R> Clone for Damageable<R> {
    fn clone(&self) -> Self {
        Self {
            damaged: self.damaged.clone(),
            events: self.events.clone(),
            handling: PhantomData,
        }
    }
}

impl<R> Default for Damageable<R> {
    fn default() -> Self {
        Self {
            damaged: Shared::default(),
            events: DamagedEvents::default(),
            handling: PhantomData,
        }
    }
}

impl<R: DamageHandling> Damageable<R> {
    fn check(&self, id: &KeyId) -> Result<(), StoreError> {
        if self.damaged.with(|damaged| damaged.contains(id)) {
            let corrupt = StoreError::new(StoreErrorKind::Corrupt, R::BACKEND);
            return Err(if R::REPORTS_THE_CAUSE {
                corrupt.with_source("damaged on purpose")
            } else {
                corrupt
            });
        }
        Ok(())
    }
}

#[async_trait]
impl<R: DamageHandling> Fault for Damageable<R> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        if let Some(parent) = &record.key.parent {
            self.check(parent)?;
        }
        inner
            .insert(record, now, event)
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

    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let page = inner.events(workspace, environment, list).await?;
        self.events.check(&page)?;
        Ok(page)
    }

    fn durability(&self) -> Durability {
        R::DURABILITY
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.damaged.with(|damaged| damaged.insert(*id));
        true
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.events.damage(id)
    }
}

/// No fault: a store that reports damaged records.
#[derive(Debug)]
struct ReportsDamage;

impl DamageHandling for ReportsDamage {}

#[test]
fn a_store_that_reports_damage_passes() {
    assert_fails_only::<Damageable<ReportsDamage>>(&[]);
}

/// No fault: a store that survives the restarts of the suite, and reports damaged records.
#[derive(Debug)]
struct Survives;

impl DamageHandling for Survives {
    const DURABILITY: Durability = Durability::HostCrash;
}

#[test]
fn a_durable_store_that_reports_damage_passes() {
    assert_fails_only::<Damageable<Survives>>(&[]);
}

/// An error without a cause for a damaged record.
#[derive(Debug)]
struct HidesTheCause;

impl DamageHandling for HidesTheCause {
    const REPORTS_THE_CAUSE: bool = false;
}

#[test]
fn an_error_without_a_cause_is_caught() {
    assert_fails_only::<Damageable<HidesTheCause>>(&["errors"]);
}

/// A lookup that returns nothing for a damaged record.
#[derive(Debug)]
struct SkipsInFind;

impl DamageHandling for SkipsInFind {
    const SKIPS_IN_FIND: bool = true;
}

#[test]
fn a_lookup_that_skips_a_damaged_record_is_caught() {
    assert_fails_only::<Damageable<SkipsInFind>>(&["errors"]);
}

/// A list that leaves out damaged records.
#[derive(Debug)]
struct SkipsInList;

impl DamageHandling for SkipsInList {
    const SKIPS_IN_LIST: bool = true;
}

#[test]
fn a_list_that_skips_a_damaged_record_is_caught() {
    assert_fails_only::<Damageable<SkipsInList>>(&["errors"]);
}

/// A backend name that differs between operations.
#[derive(Debug)]
struct OtherName;

impl DamageHandling for OtherName {
    const BACKEND: &str = "memory: insert";
}

#[test]
fn a_backend_with_two_names_is_caught() {
    assert_fails_only::<Damageable<OtherName>>(&["errors"]);
}

/// A ping that fails although the store can be reached.
#[derive(Clone, Debug, Default)]
struct FailsPings;

#[async_trait]
impl Fault for FailsPings {
    async fn ping(&self, _: &MemoryStore) -> Result<(), StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable, "memory"))
    }
}

#[test]
fn a_store_that_works_and_fails_a_ping_is_caught() {
    assert_fails_only::<FailsPings>(&["errors"]);
}
