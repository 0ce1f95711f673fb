//! Last uses of keys, which show at once and are written in the background.

use std::{sync::Arc, thread};

use keywright_core::{Key, KeyId, ListKeys, Scheme, store::StoreErrorKind};
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

/// Waits until the background thread has written uses, by using a new key.
fn await_flush(world: &World) {
    let marker = world.issue();
    world.verify(&marker.token).unwrap();
    await_that(|| !world.store.touches(&marker.key.id).is_empty());
}

#[test]
fn the_first_use_is_written_soon_and_later_uses_at_most_once_a_minute() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    let first = world.clock.millis();
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.touches(&id) == [first]);

    for _ in 0..1_000 {
        world.verify(&issued.token).unwrap();
    }
    world.clock.adjust(MINUTE - 1);
    for _ in 0..1_000 {
        world.verify(&issued.token).unwrap();
    }
    await_flush(&world);
    assert_eq!(world.store.touches(&id), [first]);

    world.clock.adjust(1);
    await_that(|| world.store.touches(&id).len() > 1);
    // The time of the use is written, not the time of the write.
    assert_eq!(world.store.touches(&id), [first, first + MINUTE - 1]);
    await_flush(&world);
    assert_eq!(world.store.touches(&id).len(), 2);
}

#[test]
fn a_use_shows_at_once_in_the_same_process() {
    let world = World::new();
    let issued = world.issue();
    assert_eq!(used(&world.find(&issued.key.id)), None);
    for _ in 0..100 {
        world.clock.adjust(7);
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
fn a_use_that_is_written_while_the_key_is_read_shows() {
    let world = World::new();
    let issued = world.issue();
    for step in [1, 2 * MINUTE] {
        world.clock.adjust(step);
        world.verify(&issued.token).unwrap();
        let now = Some(world.clock.millis());
        let other = world.clone();
        world.store.after_find(move || other.flush().unwrap());
        assert_eq!(used(&world.find(&issued.key.id)), now);

        world.clock.adjust(1);
        world.verify(&issued.token).unwrap();
        let now = Some(world.clock.millis());
        let other = world.clone();
        world.store.after_find(move || other.flush().unwrap());
        assert_eq!(used(&list(&world)[0]), now);
    }
}

#[test]
fn the_result_of_a_rename_shows_the_last_use() {
    let world = World::new();
    let issued = world.issue();
    world.verify(&issued.token).unwrap();
    let renamed = world.rename(&issued.key.id, "renamed");
    assert_eq!(used(&renamed), Some(world.clock.millis()));
}

#[test]
fn a_delayed_use_does_not_keep_a_later_use_from_being_written() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    world.flush().unwrap();
    // During the verification the record changes, and the changed key is used.
    let (other, token) = (world.clone(), issued);
    let issued = Arc::new(token);
    let same = Arc::clone(&issued);
    world.clock.before_read(move || {
        other.rename(&id, "renamed");
        other.verify(&same.token).unwrap();
    });
    world.verify(&issued.token).unwrap();
    for _ in 0..3 {
        world.clock.adjust(MINUTE);
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
fn a_failed_write_during_a_successful_write_does_not_keep_a_later_use_from_being_written() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let other = world.clone();
    world.store.before_touch(move || {
        other.flush().unwrap();
        other.store.fail_touches(1);
    });
    // The background thread may have been faster, and then this does not fail.
    let _ = world.flush();
    for _ in 0..2 {
        world.clock.adjust(1);
        world.verify(&issued.token).unwrap();
        world.flush().unwrap();
        let written = world.store.record(&id).key;
        assert_eq!(used(&written), Some(world.clock.millis()));
    }
}

/// Uses a key while its earlier use is being written, after `before`. Asserts that the later use is
/// also written.
fn use_during_a_write(before: impl FnOnce(&World, &KeyId) + Send + 'static) {
    let world = World::new();
    let issued = Arc::new(world.issue());
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let (other, same) = (world.clone(), Arc::clone(&issued));
    world.store.before_touch(move || {
        other.clock.adjust(1);
        before(&other, &id);
        other.verify(&same.token).unwrap();
    });
    // Either this flush or the background thread writes it.
    await_that(|| {
        world.flush().unwrap();
        used(&world.store.record(&id).key) == Some(world.clock.millis())
    });
}

#[test]
fn a_use_during_the_write_of_an_earlier_use_is_written_next() {
    use_during_a_write(|_, _| {});
}

#[test]
fn a_use_of_a_changed_key_during_the_write_of_an_earlier_use_is_written_next() {
    use_during_a_write(|world, id| drop(world.rename(id, "renamed")));
}

#[test]
fn a_key_that_changes_during_a_write_is_written_at_most_once_a_minute() {
    let world = World::new();
    let issued = Arc::new(world.issue());
    let id = issued.key.id;
    let first = world.clock.millis();
    let (other, same) = (world.clone(), Arc::clone(&issued));
    world.store.before_touch(move || {
        other.rename(&id, "renamed");
        other.clock.adjust(1);
        other.verify(&same.token).unwrap();
    });
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.touches(&id) == [first]);
    await_flush(&world);
    assert_eq!(world.store.touches(&id), [first]);
    world.clock.adjust(MINUTE);
    await_that(|| world.store.touches(&id) == [first, first + 1]);
}

#[test]
fn a_use_that_the_store_does_not_accept_is_written_later() {
    let world = World::new();
    let issued = world.issue();
    let now = world.clock.millis();
    world.store.fail_touches(1);
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.touches(&issued.key.id) == [now]);
}

#[test]
fn dropping_the_library_writes_all_last_uses() {
    let world = World::new();
    let keys = world.issue_many(1_000);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    world.flush().unwrap();
    world.clock.adjust(1);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    let World {
        clock,
        store,
        keys: library,
        ..
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
                        world.clock.adjust(1);
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
        // One by the background thread, and one by the flush.
        let touches = world.store.touches(&issued.key.id);
        assert!((1..=2).contains(&touches.len()), "{touches:?}");
    }
}

#[test]
fn a_denied_verification_is_not_a_use() {
    let world = World::new();
    let (issued, other) = (world.issue(), world.issue());
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let last = Some(world.clock.millis());
    world.clock.adjust(1);
    world.denied(&forge(&id, &other.token));
    world.revoke(&id);
    world.denied(&issued.token);
    assert_eq!(used(&world.find(&issued.key.id)), last);
    world.flush().unwrap();
    assert_eq!(used(&world.store.record(&id).key), last);
}

/// Creates a world with uses that the background thread does not write for a minute.
fn world_with_recent_uses(keys: usize) -> (World, Vec<KeyId>) {
    let world = World::with(|config| config.with_scheme(Scheme::HmacSha256));
    let issued = world.issue_many(keys);
    let verify_all = || {
        for issued in &issued {
            world.verify(&issued.token).unwrap();
        }
    };
    verify_all();
    world.flush().unwrap();
    // The background thread may be writing the same uses.
    await_flush(&world);
    world.clock.adjust(1);
    verify_all();
    (world, issued.iter().map(|issued| issued.key.id).collect())
}

#[test]
fn a_flush_stops_at_the_first_unavailable_and_is_not_repeated_on_drop() {
    let (world, ids) = world_with_recent_uses(2_000);
    let World {
        store, keys, clock, ..
    } = world;
    let before = store.touch_calls();
    store.fail_touches(1);
    let error = block_on(keys.flush()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(store.touch_calls() - before, 1);
    drop(keys);
    assert_eq!(store.touch_calls() - before, 1);
    for id in &ids {
        assert_eq!(used(&store.record(id).key), Some(clock.millis() - 1));
    }
}

#[test]
fn a_flush_after_a_failed_one_writes_all_uses() {
    let (world, ids) = world_with_recent_uses(2_000);
    world.store.fail_touches(1);
    world.flush().unwrap_err();
    world.flush().unwrap();
    world.clock.adjust(1);
    let used_last = world.issue();
    world.verify(&used_last.token).unwrap();
    let World {
        store, keys, clock, ..
    } = world;
    // The store has accepted uses since the failure, so the drop writes the rest.
    drop(keys);
    for id in &ids {
        assert_eq!(used(&store.record(id).key), Some(clock.millis() - 1));
    }
    let written = store.record(&used_last.key.id).key;
    assert_eq!(used(&written), Some(clock.millis()));
}

#[test]
fn a_store_that_stalls_does_not_keep_the_library_from_closing() {
    let (world, ids) = world_with_recent_uses(2_000);
    let World { store, keys, .. } = world;
    let before = store.touch_calls();
    store.stall_touches_after(0);
    let error = block_on(keys.flush()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    drop(keys);
    assert_eq!(store.touch_calls() - before, 1);
    assert_eq!(ids.len(), 2_000);
}

#[test]
fn bug_a_flush_that_ran_out_of_time_wrote_all_uses_again() {
    let (world, mut ids) = world_with_recent_uses(2_000);
    let before = world.store.touched().len();
    world.store.stall_touches_after(1);
    world.flush().unwrap_err();
    let written = world.store.touched().len() - before;
    assert!((1..2_000).contains(&written));
    world.store.resume_touches();
    world.flush().unwrap();
    // Each key once, in the order of the ids.
    ids.sort_unstable();
    assert_eq!(world.store.touched().get(before..), Some(&*ids));
}
