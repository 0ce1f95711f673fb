//! When a key was last used: shown at once, written now and then.

use std::{sync::Arc, thread};

use keywright_core::{Key, KeyId, ListKeys};
use pollster::block_on;

use crate::world::{World, await_that, forge, operator};

const MINUTE: i64 = 60_000;

fn list(world: &World) -> Vec<Key> {
    let list = ListKeys::new();
    block_on(world.keys.issuer().list(&operator(), list))
        .unwrap()
        .keys
}

fn used(key: &Key) -> Option<i64> {
    key.last_used_at.map(|time| time.as_millis())
}

/// Lets the thread that writes uses come round, by the first use of a key that waits for it.
fn await_a_round(world: &World) {
    let marker = world.issue();
    world.verify(&marker.token).unwrap();
    await_that(|| !world.store.touches(&marker.key.id).is_empty());
}

#[test]
fn the_first_use_is_written_soon_and_later_ones_at_most_once_a_minute() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    let first = world.clock.millis();
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.touches(&id) == [first]);

    for _ in 0..1_000 {
        world.verify(&issued.token).unwrap();
    }
    world.clock.turn(MINUTE - 1);
    for _ in 0..1_000 {
        world.verify(&issued.token).unwrap();
    }
    await_a_round(&world);
    assert_eq!(world.store.touches(&id), [first]);

    world.clock.turn(1);
    await_that(|| world.store.touches(&id).len() > 1);
    // The use, and not the time at which it is written.
    assert_eq!(world.store.touches(&id), [first, first + MINUTE - 1]);
    await_a_round(&world);
    assert_eq!(world.store.touches(&id).len(), 2);
}

#[test]
fn a_use_shows_at_once_in_the_same_process() {
    let world = World::new();
    let issued = world.issue();
    assert_eq!(used(&world.find(&issued.key.id)), None);
    for _ in 0..100 {
        world.clock.turn(7);
        let now = Some(world.clock.millis());
        world.verify(&issued.token).unwrap();
        assert_eq!(used(&world.find(&issued.key.id)), now);
        assert_eq!(used(&list(&world)[0]), now);
    }
    world.rename(&issued.key.id, "renamed");
    assert_eq!(
        used(&world.find(&issued.key.id)),
        Some(world.clock.millis())
    );
}

#[test]
fn a_use_that_is_written_while_the_key_is_read_shows_too() {
    let world = World::new();
    let issued = world.issue();
    for turn in [1, 2 * MINUTE] {
        world.clock.turn(turn);
        world.verify(&issued.token).unwrap();
        let now = Some(world.clock.millis());
        let other = world.clone();
        world.store.after_find(move || other.flush().unwrap());
        assert_eq!(used(&world.find(&issued.key.id)), now);

        world.clock.turn(1);
        world.verify(&issued.token).unwrap();
        let now = Some(world.clock.millis());
        let other = world.clone();
        world.store.after_find(move || other.flush().unwrap());
        assert_eq!(used(&list(&world)[0]), now);
    }
}

#[test]
fn the_answer_to_a_rename_shows_the_last_use() {
    let world = World::new();
    let issued = world.issue();
    world.verify(&issued.token).unwrap();
    let renamed = world.rename(&issued.key.id, "renamed");
    assert_eq!(used(&renamed), Some(world.clock.millis()));
}

#[test]
fn a_use_that_comes_late_keeps_no_later_one_from_being_written() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    world.flush().unwrap();
    // While it is on its way the record changes, and the key is used as it is known since.
    let (other, token) = (world.clone(), issued);
    let issued = Arc::new(token);
    let same = Arc::clone(&issued);
    world.clock.interrupt(move || {
        other.rename(&id, "renamed");
        other.verify(&same.token).unwrap();
    });
    world.verify(&issued.token).unwrap();
    for _ in 0..3 {
        world.clock.turn(MINUTE);
        world.verify(&issued.token).unwrap();
        assert_eq!(
            used(&world.find(&issued.key.id)),
            Some(world.clock.millis())
        );
        world.flush().unwrap();
        let written = world.store.record(&id).key;
        assert_eq!(used(&written), Some(world.clock.millis()));
    }
}

#[test]
fn a_write_that_fails_beside_one_that_does_not_keeps_no_later_use_from_being_written() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let other = world.clone();
    world.store.before_touch(move || {
        other.flush().unwrap();
        other.store.fail_touches(1);
    });
    // Whether this is told depends on whether it was faster than the thread that writes uses.
    let _ = world.flush();
    for _ in 0..2 {
        world.clock.turn(1);
        world.verify(&issued.token).unwrap();
        world.flush().unwrap();
        let written = world.store.record(&id).key;
        assert_eq!(used(&written), Some(world.clock.millis()));
    }
}

/// Has a key used, while its use before is being written, after something else has happened to it:
/// the later use is written, too.
fn use_while_the_last_is_written(before: impl FnOnce(&World, &KeyId) + Send + 'static) {
    let world = World::new();
    let issued = Arc::new(world.issue());
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let (other, same) = (world.clone(), Arc::clone(&issued));
    world.store.before_touch(move || {
        other.clock.turn(1);
        before(&other, &id);
        other.verify(&same.token).unwrap();
    });
    // By this, or by the thread that writes uses, for which this waits then.
    await_that(|| {
        world.flush().unwrap();
        used(&world.store.record(&id).key) == Some(world.clock.millis())
    });
}

#[test]
fn a_use_while_the_one_before_it_is_being_written_is_written_next() {
    use_while_the_last_is_written(|_, _| {});
}

#[test]
fn a_use_of_a_key_that_changes_while_the_one_before_it_is_being_written_is_written_next() {
    use_while_the_last_is_written(|world, id| drop(world.rename(id, "renamed")));
}

#[test]
fn what_a_store_does_not_take_is_written_later() {
    let world = World::new();
    let issued = world.issue();
    let now = world.clock.millis();
    world.store.fail_touches(1);
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.touches(&issued.key.id) == [now]);
}

#[test]
fn the_end_of_the_library_writes_what_is_left() {
    let world = World::new();
    let keys = world.issue_many(1_000);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    world.flush().unwrap();
    world.clock.turn(1);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    let World {
        clock,
        store,
        keys: library,
    } = world;
    drop(library);
    for issued in &keys {
        let record = store.record(&issued.key.id);
        assert_eq!(used(&record.key), Some(clock.millis()));
        assert_eq!(record.version, 1);
    }
}

#[test]
fn uses_on_many_threads_are_written_once_for_each_key() {
    let world = World::new();
    let keys = world.issue_many(100);
    let start = world.clock.millis();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..20 {
                    for issued in &keys {
                        world.verify(&issued.token).unwrap();
                    }
                    if round % 4 == 0 {
                        world.clock.turn(1);
                    }
                }
            });
        }
    });
    world.flush().unwrap();
    for issued in &keys {
        let shown = used(&world.find(&issued.key.id)).unwrap();
        assert!((start..=world.clock.millis()).contains(&shown));
        assert_eq!(used(&world.store.record(&issued.key.id).key), Some(shown));
        // By the thread, and by the flush.
        let touches = world.store.touches(&issued.key.id);
        assert!((1..=2).contains(&touches.len()), "{touches:?}");
    }
}

#[test]
fn what_is_denied_is_no_use() {
    let world = World::new();
    let (issued, other) = (world.issue(), world.issue());
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let last = Some(world.clock.millis());
    world.clock.turn(1);
    world.denied(&forge(&id, &other.token));
    world.revoke(&id);
    world.denied(&issued.token);
    assert_eq!(used(&world.find(&issued.key.id)), last);
    world.flush().unwrap();
    assert_eq!(used(&world.store.record(&id).key), last);
}
