//! The observer, which takes each event of this process once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keywright_core::{
    Caller, Config, Event, EventKind, IssueError, KeyUpdate, Keywright, ListEvents, NewKey,
    NewRotation, Prefix, Reach, Scheme,
    store::{KeyStore, StoreErrorKind},
};
use pollster::block_on;

use super::{all, log};
use crate::{
    spy_store::SpyStore,
    world::{World, kind, name, operator},
};

/// The events that an observer took.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Event>>>);

impl Taken {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let taken = Arc::clone(&self.0);
        move |event: &Event| taken.lock().unwrap().push(event.clone())
    }
}

fn fast(config: Config) -> Config {
    config.with_scheme(Scheme::HmacSha256)
}

#[test]
fn the_observer_takes_the_event_of_each_change_once_as_the_log_has_it() {
    let taken = Taken::default();
    let world = World::with(|config| fast(config).with_observer(taken.observer()));
    let issuer = world.keys.issuer();
    let parent = world.issue().key;
    world.clock.adjust(1);
    let child = block_on(issuer.create(&Caller::from(&parent), NewKey::new(name("n"))));
    world.clock.adjust(1);
    world.rename(&parent.id, "new");
    world.clock.adjust(1);
    world.rotate(&child.unwrap().key.id).unwrap();
    world.clock.adjust(1);
    block_on(issuer.revoke(&operator(), &parent.id, Reach::Descendants)).unwrap();
    let taken = taken.take();
    assert_eq!(taken, log(&world));
    let kinds: Vec<&str> = taken.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "api_key.created",
            "api_key.created",
            "api_key.updated",
            "api_key.rotated",
            "api_key.revoked"
        ]
    );
    let revoked = EventKind::Revoked {
        cascade: true,
        count: Some(3),
    };
    assert_eq!(taken[4].kind, revoked);
}

#[test]
fn the_observer_is_called_after_the_commit_and_before_the_call_returns() {
    let store = Arc::new(SpyStore::default());
    let (seen, inner) = (Taken::default(), Arc::clone(&store));
    let push = seen.observer();
    let config =
        fast(Config::new(Prefix::parse("sk").unwrap())).with_observer(move |event: &Event| {
            let key = inner.record(&event.key).key;
            let is_changed = match event.kind {
                EventKind::Created => true,
                EventKind::Updated => key.name == name("new"),
                EventKind::Rotated { .. } => key.successor.is_some(),
                EventKind::Revoked { .. } => key.revoked_at.is_some(),
                _ => false,
            };
            assert!(is_changed, "{event:?}");
            push(event);
        });
    let keys = block_on(Keywright::open(config, store as Arc<dyn KeyStore>)).unwrap();
    let issuer = keys.issuer();
    let count = |expected: usize| assert_eq!(seen.take().len(), expected);
    let key = block_on(issuer.create(&operator(), NewKey::new(name("n"))))
        .unwrap()
        .key;
    count(1);
    let update = KeyUpdate::new().with_name(name("new"));
    block_on(issuer.update(&operator(), &key.id, &update)).unwrap();
    count(1);
    block_on(issuer.rotate(&operator(), &key.id, &NewRotation::new())).unwrap();
    count(1);
    block_on(issuer.revoke(&operator(), &key.id, Reach::Key)).unwrap();
    count(1);
}

#[test]
fn a_panic_of_the_observer_does_not_fail_the_change() {
    let (taken, panics) = (Taken::default(), Arc::new(AtomicBool::new(true)));
    let (push, is_first) = (taken.observer(), Arc::clone(&panics));
    let world = World::with(|config| {
        fast(config).with_observer(move |event: &Event| {
            assert!(!is_first.swap(false, Ordering::SeqCst), "on purpose");
            push(event);
        })
    });
    let key = world.issue().key;
    assert!(!panics.load(Ordering::SeqCst));
    assert!(taken.take().is_empty());
    world.clock.adjust(1);
    world.revoke(&key.id);
    assert_eq!(taken.take().len(), 1);
    assert_eq!(log(&world).len(), 2);
}

#[test]
fn the_observer_is_not_called_for_a_call_that_fails_or_changes_nothing() {
    let taken = Taken::default();
    let world = World::with(|config| fast(config).with_observer(taken.observer()));
    let issuer = world.keys.issuer();
    let key = world.issue().key;
    taken.take();
    let unavailable = [StoreErrorKind::Unavailable; 2];
    world.store.fail_inserts(&unavailable);
    world.store.fail_changes(&unavailable);
    let update = KeyUpdate::new().with_name(name("new"));
    let create = block_on(issuer.create(&operator(), NewKey::new(name("n"))));
    assert_eq!(kind(create), StoreErrorKind::Unavailable);
    assert_eq!(kind(world.rotate(&key.id)), StoreErrorKind::Unavailable);
    assert_eq!(
        kind(world.update(&key.id, &update)),
        StoreErrorKind::Unavailable
    );
    let revoke = || block_on(issuer.revoke(&operator(), &key.id, Reach::Key));
    assert_eq!(kind(revoke()), StoreErrorKind::Unavailable);
    world.update(&key.id, &KeyUpdate::new()).unwrap();
    assert!(taken.take().is_empty());
    revoke().unwrap();
    assert_eq!(taken.take().len(), 1);
    assert!(matches!(revoke(), Err(IssueError::NotFound)));
    assert!(taken.take().is_empty());
}

#[test]
fn a_change_that_too_few_replicas_confirmed_is_observed() {
    let taken = Taken::default();
    let world = World::with(|config| fast(config).with_observer(taken.observer()));
    let issuer = world.keys.issuer();
    let not_confirmed = [StoreErrorKind::NotConfirmed];
    world.store.fail_inserts(&not_confirmed);
    let key = world.issue().key;
    world.store.fail_changes(&not_confirmed);
    world.clock.adjust(1);
    let update = KeyUpdate::new().with_name(name("new"));
    assert_eq!(
        kind(world.update(&key.id, &update)),
        StoreErrorKind::NotConfirmed
    );
    world.store.fail_inserts(&not_confirmed);
    world.clock.adjust(1);
    world.rotate(&key.id).unwrap();
    world.store.fail_changes(&not_confirmed);
    world.clock.adjust(1);
    let revoked = block_on(issuer.revoke(&operator(), &key.id, Reach::Key));
    assert_eq!(kind(revoked), StoreErrorKind::NotConfirmed);
    let ids = |events: Vec<Event>| events.iter().map(|event| event.id).collect::<Vec<_>>();
    let taken = ids(taken.take());
    assert_eq!(taken.len(), 4);
    assert_eq!(taken, ids(log(&world)));
}

#[test]
fn the_observer_is_called_if_no_events_are_written() {
    let taken = Taken::default();
    let world = World::with(|config| {
        fast(config)
            .with_event_retention(Duration::ZERO)
            .with_observer(taken.observer())
    });
    let key = world.issue().key;
    world.revoke(&key.id);
    assert_eq!(taken.take().len(), 2);
    assert!(log(&world.reopened(fast)).is_empty());
}

#[test]
fn the_observer_is_called_if_the_store_has_no_event_log() {
    let store = Arc::new(SpyStore::default());
    store.keep_no_events();
    let taken = Taken::default();
    let config = fast(Config::new(Prefix::parse("sk").unwrap())).with_observer(taken.observer());
    let keys = block_on(Keywright::open(
        config,
        Arc::clone(&store) as Arc<dyn KeyStore>,
    ))
    .unwrap();
    let issuer = keys.issuer();
    block_on(issuer.create(&operator(), NewKey::new(name("n")))).unwrap();
    assert_eq!(taken.take().len(), 1);
    let listed = all(issuer, &operator(), ListEvents::new());
    assert!(matches!(listed, Err(IssueError::NoEventLog)));
    let position = keywright_core::EventPosition::since(issuer.now());
    let unread = block_on(issuer.unread_events(&operator(), &ListEvents::new(), &position));
    assert!(matches!(unread, Err(IssueError::NoEventLog)));
    assert_eq!(store.event_lists(), 0);
}
