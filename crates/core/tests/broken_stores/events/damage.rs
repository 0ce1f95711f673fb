//! Events that cannot be read back.

use std::{collections::HashSet, fmt::Debug, marker::PhantomData};

use async_trait::async_trait;
use keywright_core::{
    Environment, EventId, EventPage, ListEvents, MemoryStore, Workspace,
    store::{KeyStore, StoreError, StoreErrorKind},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// The events that a test has damaged.
#[derive(Clone, Debug, Default)]
pub(crate) struct DamagedEvents(Shared<HashSet<EventId>>);

impl DamagedEvents {
    pub(crate) fn damage(&self, id: &EventId) -> bool {
        self.0.with(|damaged| damaged.insert(*id));
        true
    }

    fn contains(&self, id: &EventId) -> bool {
        self.0.with(|damaged| damaged.contains(id))
    }

    /// Returns an error if the page contains a damaged event.
    pub(crate) fn check(&self, page: &EventPage<EventId>) -> Result<(), StoreError> {
        if page.events.iter().any(|event| self.contains(&event.id)) {
            let corrupt = StoreError::new(StoreErrorKind::Corrupt, "memory");
            return Err(corrupt.with_source("damaged on purpose"));
        }
        Ok(())
    }
}

/// The way in which a store handles damaged events.
trait DamageHandling: Clone + Debug + Default + Send + Sync + 'static {
    fn handle(
        damaged: &DamagedEvents,
        page: EventPage<EventId>,
    ) -> Result<EventPage<EventId>, StoreError>;
}

/// A store whose events can be damaged.
#[derive(Clone, Debug, Default)]
struct Damageable<R> {
    damaged: DamagedEvents,
    handling: PhantomData<R>,
}

#[async_trait]
impl<R: DamageHandling> Fault for Damageable<R> {
    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let page = inner.events(workspace, environment, list).await?;
        R::handle(&self.damaged, page)
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.damaged.damage(id)
    }
}

/// No fault: a store that reports damaged events.
#[derive(Clone, Debug, Default)]
struct Reports;

impl DamageHandling for Reports {
    fn handle(
        damaged: &DamagedEvents,
        page: EventPage<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        damaged.check(&page)?;
        Ok(page)
    }
}

#[test]
fn a_store_that_reports_damaged_events_passes() {
    assert_fails_only::<Damageable<Reports>>(&[]);
}

/// A list that leaves out damaged events.
#[derive(Clone, Debug, Default)]
struct Skips;

impl DamageHandling for Skips {
    fn handle(
        damaged: &DamagedEvents,
        mut page: EventPage<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        page.events.retain(|event| !damaged.contains(&event.id));
        Ok(page)
    }
}

#[test]
fn a_list_that_skips_a_damaged_event_is_caught() {
    assert_fails_only::<Damageable<Skips>>(&["events"]);
}

/// An error without a cause for a damaged event.
#[derive(Clone, Debug, Default)]
struct HidesTheCause;

impl DamageHandling for HidesTheCause {
    fn handle(
        damaged: &DamagedEvents,
        page: EventPage<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let checked = damaged.check(&page);
        checked.map_err(|error| StoreError::new(error.kind(), "memory"))?;
        Ok(page)
    }
}

#[test]
fn a_damaged_event_that_is_reported_without_a_cause_is_caught() {
    assert_fails_only::<Damageable<HidesTheCause>>(&["events"]);
}
