//! A reader gets each event at least once.

use keywright_core::{
    Actor, Caller, Event, EventId, EventKind, EventPosition, Key, ListEvents, NewKey, Owner,
    Timestamp,
    store::{KeyStore as _, Settings},
};
use pollster::block_on;

use super::{caller, world};
use crate::world::{World, name, operator};

fn unread(world: &World, caller: &Caller, position: &EventPosition, limit: u32) -> Vec<Event> {
    let list = ListEvents::new().with_limit(limit);
    block_on(world.keys.issuer().unread_events(caller, &list, position)).unwrap()
}

fn now(world: &World) -> Timestamp {
    Timestamp::from_millis(world.clock.millis()).unwrap()
}

/// Appends an event whose change began some time ago.
fn append_late(world: &World, key: &Key, millis_ago: i64) -> EventId {
    let time = Timestamp::from_millis(world.clock.millis() - millis_ago).unwrap();
    let first = EventId::first_at(time);
    let (time, _) = first.as_bytes().split_at(8);
    let id = [time, key.id.routing_tag(), b"later"].concat();
    let id = EventId::from_bytes(&id).unwrap();
    let record = world.store.record(&key.id);
    let late = Event::new(id, EventKind::Updated, key, Actor::System);
    let settings = Settings::from(&record.key);
    let update = world.store.update(
        &key.workspace,
        &key.id,
        record.version,
        &settings,
        Some(&late),
    );
    block_on(update).unwrap();
    id
}

#[test]
fn a_reader_gets_each_event_once_in_order_and_continues_after_a_restart() {
    let world = world();
    let mut position = EventPosition::since(now(&world));
    let key = world.issue().key;
    for number in 0..300 {
        world.clock.adjust(100);
        world.rename(&key.id, &format!("name {number}"));
    }
    let mut read = Vec::new();
    loop {
        let events = unread(&world, &operator(), &position, 7);
        if events.is_empty() {
            break;
        }
        assert!(events.len() <= 7);
        for event in events {
            // The reader saves its position after each event, and restarts.
            position.mark_read(&event);
            position = position.to_string().parse().unwrap();
            read.push(event);
        }
    }
    assert_eq!(read, super::log(&world));
    // It crashed after the last event, before it saved the position: it gets that event again.
    let saved = position.to_string();
    world.clock.adjust(1);
    world.rename(&key.id, "newest");
    let newest = unread(&world, &operator(), &position, 100);
    assert_eq!(newest.len(), 1);
    position.mark_read(&newest[0]);
    assert!(unread(&world, &operator(), &position, 100).is_empty());
    let again = unread(&world, &operator(), &saved.parse().unwrap(), 100);
    assert_eq!(again, newest);
}

#[test]
fn an_event_that_appears_up_to_a_minute_late_is_found() {
    let world = world();
    let mut position = EventPosition::since(now(&world));
    let key = world.issue().key;
    world.clock.adjust(120_000);
    world.rename(&key.id, "new");
    for event in unread(&world, &operator(), &position, 100) {
        position.mark_read(&event);
    }
    let [late, later, latest] = [1_000, 30_000, 59_999].map(|ago| append_late(&world, &key, ago));
    // An event that is later than a minute is missed.
    append_late(&world, &key, 60_001);
    let found: Vec<EventId> = unread(&world, &operator(), &position, 100)
        .iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(found, [latest, later, late]);
}

#[test]
fn an_event_from_the_future_waits_for_its_time() {
    let world = world();
    let mut position = EventPosition::since(now(&world));
    let key = world.issue().key;
    let hour = 60 * 60 * 1_000;
    let early = append_late(&world, &key, -hour);
    let mut read = |world: &World| {
        let events = unread(world, &operator(), &position, 100);
        events.iter().for_each(|event| position.mark_read(event));
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(read(&world).len(), 1);
    // The events of other servers in the meantime are not missed.
    world.clock.adjust(hour - 1);
    world.rename(&key.id, "new");
    assert_eq!(read(&world), [super::log(&world)[1].id]);
    world.clock.adjust(1);
    assert_eq!(read(&world), [early]);
}

#[test]
fn a_reader_gets_the_events_that_its_caller_sees() {
    let world = world();
    let position = EventPosition::since(now(&world));
    let owner = |text: &str| Owner::parse(text).unwrap();
    let create = |caller: &Caller| {
        world.clock.adjust(1);
        let new = NewKey::new(name("n"));
        block_on(world.keys.issuer().create(caller, new))
            .unwrap()
            .key
    };
    let own = create(&operator().with_owner(owner("user:1")));
    let other = create(&operator().with_owner(owner("user:2")));
    let keys = |caller: &Caller, list: ListEvents| {
        let unread = world.keys.issuer().unread_events(caller, &list, &position);
        let events = block_on(unread).unwrap();
        events.iter().map(|event| event.key).collect::<Vec<_>>()
    };
    let reader = caller("api_keys.own:read").with_owner(owner("user:1"));
    assert_eq!(keys(&operator(), ListEvents::new()), [own.id, other.id]);
    assert_eq!(keys(&reader, ListEvents::new()), [own.id]);
    assert!(keys(&reader, ListEvents::new().with_owner(owner("user:2"))).is_empty());
    assert!(keys(&reader, ListEvents::new().with_key(other.id)).is_empty());
    assert_eq!(
        keys(&operator(), ListEvents::new().with_key(other.id)),
        [other.id]
    );
    assert_eq!(
        keys(&operator(), ListEvents::new().with_owner(owner("user:2"))),
        [other.id]
    );
    // The limit is at least 1.
    assert_eq!(keys(&operator(), ListEvents::new().with_limit(0)), [own.id]);
}

#[test]
fn one_call_reads_no_more_pages_than_the_last_minute_and_the_limit_need() {
    let world = world();
    let mut position = EventPosition::since(now(&world));
    let key = world.issue().key;
    for number in 0..450 {
        world.clock.adjust(100);
        world.rename(&key.id, &format!("name {number}"));
    }
    loop {
        let events = unread(&world, &operator(), &position, 100);
        if events.is_empty() {
            break;
        }
        events.iter().for_each(|event| position.mark_read(event));
    }
    let before = world.store.event_lists();
    world.clock.adjust(100);
    world.rename(&key.id, "newest");
    assert_eq!(unread(&world, &operator(), &position, 100).len(), 1);
    // All 452 events are from the last minute.
    assert_eq!(world.store.event_lists() - before, 5);
}
