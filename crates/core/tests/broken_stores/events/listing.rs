//! Stores that list the wrong events.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventOrder, EventPage, KeyId, ListEvents, MemoryStore, Owner,
    Reach, Revocation, Timestamp, VersionedKey, Workspace,
    store::{KeyStore, Record, Rotation, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

/// The parts of a request for a page.
struct Request<'r> {
    workspace: &'r Workspace,
    environment: Environment,
    list: &'r ListEvents<EventId>,
}

/// A rule by which a broken store lists events. By default the rules are those of the contract.
trait Rules: Clone + Debug + Default + Send + Sync + 'static {
    fn selects(request: &Request<'_>, event: &Event) -> bool {
        Self::in_workspace(request, event)
            && Self::in_environment(request, event)
            && Self::in_filter(request.list, event)
    }

    fn in_workspace(request: &Request<'_>, event: &Event) -> bool {
        event.workspace == *request.workspace
    }

    fn in_environment(request: &Request<'_>, event: &Event) -> bool {
        request.environment.covers(event.environment)
    }

    fn in_filter(list: &ListEvents<EventId>, event: &Event) -> bool {
        list.key.is_none_or(|key| key == event.key) && is_of_owner(list, event)
    }

    fn order(list: &ListEvents<EventId>) -> EventOrder {
        list.order
    }

    /// Sorts the events, the oldest first.
    fn sort(_appended: &HashMap<EventId, usize>, events: &mut [Event]) {
        events.sort_by_key(|event| event.id);
    }

    /// Whether an event follows the cursor in this order.
    fn follows(order: EventOrder, event: &Event, cursor: EventId) -> bool {
        match order {
            EventOrder::NewestFirst => event.id < cursor,
            EventOrder::OldestFirst => event.id > cursor,
        }
    }

    fn cut(events: Vec<Event>, limit: u32) -> EventPage<EventId> {
        EventPage::cut(events, limit)
    }
}

/// A store that lists events by other rules.
#[derive(Clone, Debug, Default)]
struct Lists<R> {
    workspaces: Shared<HashSet<String>>,
    /// The number of events that were appended before each event.
    appended: Shared<HashMap<EventId, usize>>,
    rules: std::marker::PhantomData<R>,
}

impl<R> Lists<R> {
    fn note(&self, event: Option<&Event>) {
        let Some(event) = event else { return };
        let workspace = event.workspace.as_str().to_owned();
        self.workspaces.with(|all| all.insert(workspace));
        self.appended.with(|appended| {
            let count = appended.len();
            appended.insert(event.id, count);
        });
    }
}

#[async_trait]
impl<R: Rules> Fault for Lists<R> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.note(event);
        inner.insert(record, now, event).await
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
        self.note(event);
        inner.update(workspace, id, version, settings, event).await
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
        self.note(event);
        inner.revoke(workspace, id, reach, now, event).await
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        self.note(event);
        inner.rotate(workspace, rotation, now, event).await
    }

    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let mut events = Vec::new();
        for workspace in self.workspaces.with(|all| all.clone()) {
            let workspace = Workspace::parse(&workspace).unwrap();
            let all = ListEvents::new().with_limit(u32::MAX);
            let page = inner.events(&workspace, Environment::Live, &all).await?;
            events.extend(page.events);
        }
        let request = Request {
            workspace,
            environment,
            list,
        };
        events.retain(|event| R::selects(&request, event));
        let appended = self.appended.with(|appended| appended.clone());
        R::sort(&appended, &mut events);
        let order = R::order(list);
        if order == EventOrder::NewestFirst {
            events.reverse();
        }
        if let Some(cursor) = list.after {
            events.retain(|event| R::follows(order, event, cursor));
        }
        Ok(R::cut(events, list.limit))
    }
}

/// The rules of the contract.
#[derive(Clone, Debug, Default)]
struct NoFault;

impl Rules for NoFault {}

#[test]
fn a_list_by_the_rules_of_the_contract_passes() {
    assert_fails_only::<Lists<NoFault>>(&[]);
}

/// Events of all workspaces.
#[derive(Clone, Debug, Default)]
struct AnyWorkspace;

impl Rules for AnyWorkspace {
    fn in_workspace(_: &Request<'_>, _: &Event) -> bool {
        true
    }
}

#[test]
fn events_of_another_workspace_are_caught() {
    assert_fails_only::<Lists<AnyWorkspace>>(&["events"]);
}

/// Events of workspaces whose names differ in case.
#[derive(Clone, Debug, Default)]
struct AnyCaseOfWorkspace;

impl Rules for AnyCaseOfWorkspace {
    fn in_workspace(request: &Request<'_>, event: &Event) -> bool {
        let wanted = request.workspace.as_str();
        event.workspace.as_str().eq_ignore_ascii_case(wanted)
    }
}

#[test]
fn events_of_a_workspace_in_another_case_are_caught() {
    assert_fails_only::<Lists<AnyCaseOfWorkspace>>(&["events"]);
}

/// A list by key that ignores the workspace, because the id of a key is unique.
#[derive(Clone, Debug, Default)]
struct KeyInAnyWorkspace;

impl Rules for KeyInAnyWorkspace {
    fn in_workspace(request: &Request<'_>, event: &Event) -> bool {
        request.list.key.is_some() || event.workspace == *request.workspace
    }
}

#[test]
fn events_of_a_key_of_another_workspace_are_caught() {
    assert_fails_only::<Lists<KeyInAnyWorkspace>>(&["events"]);
}

/// A list by owner that ignores the workspace.
#[derive(Clone, Debug, Default)]
struct OwnerInAnyWorkspace;

impl Rules for OwnerInAnyWorkspace {
    fn in_workspace(request: &Request<'_>, event: &Event) -> bool {
        request.list.owner.is_some() || event.workspace == *request.workspace
    }
}

#[test]
fn events_of_an_owner_in_another_workspace_are_caught() {
    assert_fails_only::<Lists<OwnerInAnyWorkspace>>(&["events"]);
}

/// A test caller that sees events of live keys.
#[derive(Clone, Debug, Default)]
struct AnyEnvironment;

impl Rules for AnyEnvironment {
    fn in_environment(_: &Request<'_>, _: &Event) -> bool {
        true
    }
}

#[test]
fn live_events_for_a_test_caller_are_caught() {
    assert_fails_only::<Lists<AnyEnvironment>>(&["events"]);
}

/// A list by key that ignores the environment of the caller.
#[derive(Clone, Debug, Default)]
struct KeyInAnyEnvironment;

impl Rules for KeyInAnyEnvironment {
    fn in_environment(request: &Request<'_>, event: &Event) -> bool {
        request.list.key.is_some() || request.environment.covers(event.environment)
    }
}

#[test]
fn events_of_a_live_key_for_a_test_caller_are_caught() {
    assert_fails_only::<Lists<KeyInAnyEnvironment>>(&["events"]);
}

/// A live caller that sees only events of live keys.
#[derive(Clone, Debug, Default)]
struct SameEnvironment;

impl Rules for SameEnvironment {
    fn in_environment(request: &Request<'_>, event: &Event) -> bool {
        request.environment == event.environment
    }
}

#[test]
fn a_live_caller_without_test_events_is_caught() {
    assert_fails_only::<Lists<SameEnvironment>>(&["events"]);
}

/// A list that ignores the filter by owner.
#[derive(Clone, Debug, Default)]
struct AnyOwner;

impl Rules for AnyOwner {
    fn in_filter(list: &ListEvents<EventId>, event: &Event) -> bool {
        list.key.is_none_or(|key| key == event.key)
    }
}

#[test]
fn an_ignored_filter_by_owner_is_caught() {
    assert_fails_only::<Lists<AnyOwner>>(&["events"]);
}

/// A list that ignores the filter by key.
#[derive(Clone, Debug, Default)]
struct AnyKey;

impl Rules for AnyKey {
    fn in_filter(list: &ListEvents<EventId>, event: &Event) -> bool {
        list.owner.is_none() || list.owner == event.owner
    }
}

#[test]
fn an_ignored_filter_by_key_is_caught() {
    assert_fails_only::<Lists<AnyKey>>(&["events"]);
}

/// Whether the filter by owner selects an event.
fn is_of_owner(list: &ListEvents<EventId>, event: &Event) -> bool {
    list.owner.is_none() || list.owner == event.owner
}

/// A list that ignores the owner if it is also filtered by key.
#[derive(Clone, Debug, Default)]
struct KeyOfAnyOwner;

impl Rules for KeyOfAnyOwner {
    fn in_filter(list: &ListEvents<EventId>, event: &Event) -> bool {
        match list.key {
            Some(key) => key == event.key,
            None => is_of_owner(list, event),
        }
    }
}

#[test]
fn an_owner_that_is_ignored_for_a_key_is_caught() {
    assert_fails_only::<Lists<KeyOfAnyOwner>>(&["events"]);
}

/// A list that compares owners by a pattern, in which `_` is any character.
#[derive(Clone, Debug, Default)]
struct OwnerPattern;

impl Rules for OwnerPattern {
    fn in_filter(list: &ListEvents<EventId>, event: &Event) -> bool {
        let matches = |wanted: &Owner, owner: &Owner| {
            let (wanted, owner) = (wanted.as_str().as_bytes(), owner.as_str().as_bytes());
            let mut pairs = wanted.iter().zip(owner);
            wanted.len() == owner.len() && pairs.all(|(a, b)| a == b || *a == b'_')
        };
        let in_owner = match (&list.owner, &event.owner) {
            (None, _) => true,
            (Some(wanted), Some(owner)) => matches(wanted, owner),
            (Some(_), None) => false,
        };
        in_owner && list.key.is_none_or(|key| key == event.key)
    }
}

#[test]
fn events_of_a_similar_owner_are_caught() {
    assert_fails_only::<Lists<OwnerPattern>>(&["events"]);
}

/// A list that is always the newest first.
#[derive(Clone, Debug, Default)]
struct NewestFirst;

impl Rules for NewestFirst {
    fn order(_: &ListEvents<EventId>) -> EventOrder {
        EventOrder::NewestFirst
    }
}

#[test]
fn an_ignored_order_is_caught() {
    assert_fails_only::<Lists<NewestFirst>>(&["events"]);
}

/// A list in the order of the appends.
#[derive(Clone, Debug, Default)]
struct OrderOfAppends;

impl Rules for OrderOfAppends {
    fn sort(appended: &HashMap<EventId, usize>, events: &mut [Event]) {
        events.sort_by_key(|event| appended.get(&event.id).copied());
    }
}

#[test]
fn a_list_in_the_order_of_appends_is_caught() {
    assert_fails_only::<Lists<OrderOfAppends>>(&["events"]);
}

/// A page that begins with its cursor.
#[derive(Clone, Debug, Default)]
struct CursorIncluded;

impl Rules for CursorIncluded {
    fn follows(order: EventOrder, event: &Event, cursor: EventId) -> bool {
        match order {
            EventOrder::NewestFirst => event.id <= cursor,
            EventOrder::OldestFirst => event.id >= cursor,
        }
    }
}

#[test]
fn a_page_that_repeats_an_event_is_caught() {
    assert_fails_only::<Lists<CursorIncluded>>(&["events"]);
}

/// A page that ignores its cursor.
#[derive(Clone, Debug, Default)]
struct CursorIgnored;

impl Rules for CursorIgnored {
    fn follows(_: EventOrder, _: &Event, _: EventId) -> bool {
        true
    }
}

#[test]
fn a_page_that_ignores_its_cursor_is_caught() {
    assert_fails_only::<Lists<CursorIgnored>>(&["events"]);
}

/// A cursor with the time only, so that the next page skips events of the same millisecond.
#[derive(Clone, Debug, Default)]
struct CursorByTime;

impl Rules for CursorByTime {
    fn follows(order: EventOrder, event: &Event, cursor: EventId) -> bool {
        let (time, last) = (event.created_at(), cursor.created_at());
        match order {
            EventOrder::NewestFirst => time < last,
            EventOrder::OldestFirst => time > last,
        }
    }
}

#[test]
fn a_page_that_skips_events_of_a_millisecond_is_caught() {
    assert_fails_only::<Lists<CursorByTime>>(&["events"]);
}

/// A cursor of the first event of the next page, which that page then skips.
#[derive(Clone, Debug, Default)]
struct CursorOfTheNextPage;

impl Rules for CursorOfTheNextPage {
    fn cut(mut events: Vec<Event>, limit: u32) -> EventPage<EventId> {
        let limit = usize::try_from(limit).unwrap();
        let next = events.get(limit).map(|event| event.id);
        events.truncate(limit);
        EventPage::new(events, next)
    }
}

#[test]
fn a_page_that_skips_an_event_is_caught() {
    assert_fails_only::<Lists<CursorOfTheNextPage>>(&["events"]);
}

/// A list that ends after its first page.
#[derive(Clone, Debug, Default)]
struct OnePage;

impl Rules for OnePage {
    fn cut(mut events: Vec<Event>, limit: u32) -> EventPage<EventId> {
        events.truncate(usize::try_from(limit).unwrap());
        EventPage::new(events, None)
    }
}

#[test]
fn a_list_that_ends_after_one_page_is_caught() {
    assert_fails_only::<Lists<OnePage>>(&["events"]);
}

/// A page with one event too many.
#[derive(Clone, Debug, Default)]
struct OneTooMany;

impl Rules for OneTooMany {
    fn cut(events: Vec<Event>, limit: u32) -> EventPage<EventId> {
        EventPage::cut(events, limit.saturating_add(1))
    }
}

#[test]
fn a_page_with_too_many_events_is_caught() {
    assert_fails_only::<Lists<OneTooMany>>(&["events"]);
}
