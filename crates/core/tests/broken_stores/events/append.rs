//! Stores that append the wrong events.

use std::{
    collections::HashSet,
    fmt::Debug,
    future::poll_fn,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventKind, EventPage, KeyId, ListEvents, MemoryStore, Reach,
    Revocation, Timestamp, VersionedKey, Workspace,
    store::{KeyStore, Record, Rotation, Settings, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, all_keys, append_alone, pause},
};

/// A broken way to append events.
#[async_trait]
trait Appending: Clone + Debug + Default + Send + Sync + 'static {
    /// Called before a change. Returns the event that the change appends in its step.
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        Ok(Some(event.clone()))
    }

    /// Called after a change of this number of keys, or with `None` after a call that failed.
    async fn after(&self, _: &MemoryStore, _: &Event, _: Option<u64>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether an event is left out of lists.
    fn hides(&self, _: &Event) -> bool {
        false
    }
}

/// A store that appends events in a broken way.
#[derive(Clone, Debug, Default)]
struct Appends<A>(A);

impl<A: Appending> Appends<A> {
    async fn before(
        &self,
        inner: &MemoryStore,
        event: Option<&Event>,
    ) -> Result<Option<Event>, StoreError> {
        match event {
            Some(event) => self.0.before(inner, event).await,
            None => Ok(None),
        }
    }

    async fn after(
        &self,
        inner: &MemoryStore,
        event: Option<&Event>,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match event {
            Some(event) => self.0.after(inner, event, changed).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl<A: Appending> Fault for Appends<A> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let appended = self.before(inner, event).await?;
        let result = inner.insert(record, now, appended.as_ref()).await;
        let changed = result.as_ref().ok().map(|()| 1);
        self.after(inner, event, changed).await?;
        result
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
        let appended = self.before(inner, event).await?;
        let result = inner
            .update(workspace, id, version, settings, appended.as_ref())
            .await;
        let changed = result.as_ref().ok().map(|_| 1);
        self.after(inner, event, changed).await?;
        result
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
        let appended = self.before(inner, event).await?;
        let result = inner
            .revoke(workspace, id, reach, now, appended.as_ref())
            .await;
        let changed = result.as_ref().ok().map(|revocation| revocation.count);
        self.after(inner, event, changed).await?;
        result
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let appended = self.before(inner, event).await?;
        let result = inner
            .rotate(workspace, rotation, now, appended.as_ref())
            .await;
        let changed = result.as_ref().ok().map(|()| 1);
        self.after(inner, event, changed).await?;
        result
    }

    async fn events(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let mut page = inner.events(workspace, environment, list).await?;
        page.events.retain(|event| !self.0.hides(event));
        Ok(page)
    }
}

/// Returns a copy of the event with another id.
fn copied(event: &Event) -> Event {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (start, _) = event.id.as_bytes().split_at(11);
    let last = format!("{:05}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut copy = event.clone();
    copy.id = EventId::from_bytes(&[start, last.as_bytes()].concat()).unwrap();
    copy
}

const fn is_cascade(event: &Event) -> bool {
    matches!(event.kind, EventKind::Revoked { cascade: true, .. })
}

/// An event before the change, whether or not the change succeeds.
#[derive(Clone, Debug, Default)]
struct Before;

#[async_trait]
impl Appending for Before {
    async fn before(
        &self,
        inner: &MemoryStore,
        event: &Event,
    ) -> Result<Option<Event>, StoreError> {
        append_alone(inner, event).await?;
        Ok(None)
    }

    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        append_alone(inner, &event.clone().with_count(changed.unwrap_or(0))).await
    }
}

#[test]
fn an_event_of_a_failed_change_is_caught() {
    assert_fails_only::<Appends<Before>>(&["events"]);
}

/// An event before the change, which is deleted if the change fails.
#[derive(Clone, Debug, Default)]
struct BeforeAndRolledBack(Shared<HashSet<EventId>>);

#[async_trait]
impl Appending for BeforeAndRolledBack {
    async fn before(
        &self,
        inner: &MemoryStore,
        event: &Event,
    ) -> Result<Option<Event>, StoreError> {
        append_alone(inner, event).await?;
        pause();
        Ok(None)
    }

    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match changed {
            None | Some(0) => {
                self.0.with(|hidden| hidden.insert(event.id));
                Ok(())
            }
            Some(count) => append_alone(inner, &event.clone().with_count(count)).await,
        }
    }

    fn hides(&self, event: &Event) -> bool {
        self.0.with(|hidden| hidden.contains(&event.id))
    }
}

#[test]
fn an_event_that_is_visible_before_its_change_is_caught() {
    assert_fails_only::<Appends<BeforeAndRolledBack>>(&["events"]);
}

/// An event after the change.
#[derive(Clone, Debug, Default)]
struct After;

#[async_trait]
impl Appending for After {
    async fn before(&self, _: &MemoryStore, _: &Event) -> Result<Option<Event>, StoreError> {
        Ok(None)
    }

    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match changed {
            None | Some(0) => Ok(()),
            Some(count) => {
                pause();
                append_alone(inner, &event.clone().with_count(count)).await
            }
        }
    }
}

#[test]
fn an_event_that_is_appended_after_its_change_is_caught() {
    assert_fails_only::<Appends<After>>(&["events"]);
}

/// An event after the change, of which a dropped future makes only the change.
#[derive(Clone, Debug, Default)]
struct AfterYielding;

#[async_trait]
impl Appending for AfterYielding {
    async fn before(&self, _: &MemoryStore, _: &Event) -> Result<Option<Event>, StoreError> {
        Ok(None)
    }

    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        let Some(count @ 1..) = changed else {
            return Ok(());
        };
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        append_alone(inner, &event.clone().with_count(count)).await
    }
}

#[test]
fn a_dropped_change_without_its_event_is_caught() {
    assert_fails_only::<Appends<AfterYielding>>(&["events"]);
}

/// A change after a conflict that appends no event.
#[derive(Clone, Debug, Default)]
struct LostAfterConflict(Shared<HashSet<KeyId>>);

#[async_trait]
impl Appending for LostAfterConflict {
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        let is_lost = self.0.with(|failed| failed.contains(&event.key));
        Ok((!is_lost).then(|| event.clone()))
    }

    async fn after(
        &self,
        _: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        self.0.with(|failed| match changed {
            None => failed.insert(event.key),
            Some(_) => failed.remove(&event.key),
        });
        Ok(())
    }
}

#[test]
fn an_event_that_is_lost_after_a_conflict_is_caught() {
    assert_fails_only::<Appends<LostAfterConflict>>(&["events"]);
}

/// A change after a conflict that also appends the event of the failed call.
#[derive(Clone, Debug, Default)]
struct TwiceAfterConflict(Shared<Vec<Event>>);

#[async_trait]
impl Appending for TwiceAfterConflict {
    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        if changed.is_none() {
            self.0.with(|failed| failed.push(event.clone()));
            return Ok(());
        }
        let failed = self.0.with(|failed| {
            let index = failed.iter().position(|failed| failed.key == event.key);
            index.map(|index| failed.remove(index))
        });
        match failed {
            Some(failed) => append_alone(inner, &failed).await,
            None => Ok(()),
        }
    }
}

#[test]
fn a_second_event_after_a_conflict_is_caught() {
    assert_fails_only::<Appends<TwiceAfterConflict>>(&["events"]);
}

/// A second event with another id, as a store appends it that repeats a call.
#[derive(Clone, Debug, Default)]
struct Twice;

#[async_trait]
impl Appending for Twice {
    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match changed {
            None | Some(0) => Ok(()),
            Some(count) => append_alone(inner, &copied(event).with_count(count)).await,
        }
    }
}

#[test]
fn an_event_that_is_appended_twice_is_caught() {
    assert_fails_only::<Appends<Twice>>(&["events"]);
}

/// An event of an insert that found the id taken.
#[derive(Clone, Debug, Default)]
struct OfFailedInsert;

#[async_trait]
impl Appending for OfFailedInsert {
    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match (event.kind, changed) {
            (EventKind::Created, None) => append_alone(inner, event).await,
            _ => Ok(()),
        }
    }
}

#[test]
fn an_event_of_a_rejected_insert_is_caught() {
    assert_fails_only::<Appends<OfFailedInsert>>(&["events"]);
}

/// An event of a revocation that changed nothing.
#[derive(Clone, Debug, Default)]
struct OfRepeat;

#[async_trait]
impl Appending for OfRepeat {
    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        match changed {
            Some(0) => append_alone(inner, &event.clone().with_count(0)).await,
            _ => Ok(()),
        }
    }
}

#[test]
fn an_event_of_a_repeated_revocation_is_caught() {
    assert_fails_only::<Appends<OfRepeat>>(&["events"]);
}

/// No event for a rotation, as if the successor's event were enough.
#[derive(Clone, Debug, Default)]
struct NotForRotations;

#[async_trait]
impl Appending for NotForRotations {
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        let is_rotation = matches!(event.kind, EventKind::Rotated { .. });
        Ok((!is_rotation).then(|| event.clone()))
    }
}

#[test]
fn a_rotation_without_an_event_is_caught() {
    assert_fails_only::<Appends<NotForRotations>>(&["events"]);
}

/// No event for a cascade.
#[derive(Clone, Debug, Default)]
struct NotForCascades;

#[async_trait]
impl Appending for NotForCascades {
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        Ok((!is_cascade(event)).then(|| event.clone()))
    }
}

#[test]
fn a_cascade_without_an_event_is_caught() {
    assert_fails_only::<Appends<NotForCascades>>(&["events"]);
}

/// No event for a cascade that begins at a revoked key.
#[derive(Clone, Debug, Default)]
struct NotFromRevokedKeys;

#[async_trait]
impl Appending for NotFromRevokedKeys {
    async fn before(
        &self,
        inner: &MemoryStore,
        event: &Event,
    ) -> Result<Option<Event>, StoreError> {
        let root = inner.find(&event.key).await?;
        let is_revoked = root.is_some_and(|root| root.key.revoked_at.is_some());
        Ok((!is_cascade(event) || !is_revoked).then(|| event.clone()))
    }
}

#[test]
fn a_cascade_from_a_revoked_key_without_an_event_is_caught() {
    assert_fails_only::<Appends<NotFromRevokedKeys>>(&["events"]);
}

/// An event for each descendant of a cascade, in addition.
#[derive(Clone, Debug, Default)]
struct ForEachDescendant(Shared<HashSet<KeyId>>);

#[async_trait]
impl Appending for ForEachDescendant {
    async fn after(
        &self,
        inner: &MemoryStore,
        event: &Event,
        changed: Option<u64>,
    ) -> Result<(), StoreError> {
        if !is_cascade(event) || changed.is_none() {
            return Ok(());
        }
        for key in all_keys(inner, &event.workspace).await? {
            let is_revoked = key.revoked_at.is_some() && key.id != event.key;
            if is_revoked && self.0.with(|seen| seen.insert(key.id)) {
                let mut own = copied(event).with_count(1);
                own.key = key.id;
                append_alone(inner, &own).await?;
            }
        }
        Ok(())
    }
}

#[test]
fn an_event_for_each_descendant_is_caught() {
    assert_fails_only::<Appends<ForEachDescendant>>(&["events"]);
}

/// At most one event of a key in a millisecond, because the time is part of a unique index.
#[derive(Clone, Debug, Default)]
struct OncePerMillisecond(Shared<HashSet<(KeyId, Timestamp)>>);

#[async_trait]
impl Appending for OncePerMillisecond {
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        let is_first = self
            .0
            .with(|seen| seen.insert((event.key, event.created_at())));
        Ok(is_first.then(|| event.clone()))
    }
}

#[test]
fn a_second_event_in_a_millisecond_that_is_lost_is_caught() {
    assert_fails_only::<Appends<OncePerMillisecond>>(&["events"]);
}

/// No event that is longer than the field for it.
#[derive(Clone, Debug, Default)]
struct OnlyShort;

#[async_trait]
impl Appending for OnlyShort {
    async fn before(&self, _: &MemoryStore, event: &Event) -> Result<Option<Event>, StoreError> {
        let is_short = format!("{event:?}").len() < 8_192;
        Ok(is_short.then(|| event.clone()))
    }
}

#[test]
fn a_large_event_that_is_lost_is_caught() {
    assert_fails_only::<Appends<OnlyShort>>(&["events"]);
}

/// An event of an insert for which none was passed.
#[derive(Clone, Debug, Default)]
struct Unasked;

#[async_trait]
impl Fault for Unasked {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let id = EventId::from_bytes(record.key.id.as_bytes()).unwrap();
        let made = Event::new(
            id,
            EventKind::Created,
            &record.key,
            keywright_core::Actor::System,
        );
        inner.insert(record, now, event.or(Some(&made))).await
    }
}

#[test]
fn an_event_that_was_not_passed_is_caught() {
    assert_fails_only::<Unasked>(&["events"]);
}
