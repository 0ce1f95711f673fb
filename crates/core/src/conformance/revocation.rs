//! Clauses 4 and 5: a revocation is for ever, and once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, credential, expiring, in_version, name, now, record,
        successor_of,
    },
    handle::{Handle, race},
};
use crate::{KeyId, Reach, Rename, Retire, Revocation, Status, StoreErrorKind, Timestamp};

/// Clause 4, monotone revocation.
pub fn monotone_revocation(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let mut revoked = vec![
        every_handle_shows_it(&handles, Reach::Key),
        every_handle_shows_it(&handles, Reach::Descendants),
    ];
    nothing_undoes_it(&handles, &revoked);
    // At different moments of the writes.
    let delays = (0..15).map(|round| Duration::from_micros(200 * round));
    revoked.extend(delays.map(|delay| late_writes_do_not_undo_it(&handles, delay)));

    let [store, others @ ..] = handles;
    drop(others);
    let store = store.reopened();
    for id in revoked {
        assert_revoked(&store, &id, "after a restart");
    }
}

#[track_caller]
fn assert_revoked<H: Harness>(store: &Handle<'_, H>, id: &KeyId, when: &str) {
    // At its creation as in the far future: a status is no question of time once it is revoked.
    for time in [id.created_at(), now(), Timestamp::MAX] {
        let status = store.read(id).key.status(time);
        assert_eq!(
            status,
            Status::Revoked,
            "a find shows a revoked key as {status} {when}"
        );
    }
}

fn every_handle_shows_it<H: Harness>(handles: &[Handle<'_, H>], reach: Reach) -> KeyId {
    let [store, ..] = handles else { unreachable!() };
    let parent = store.add(record("parent"));
    let child = store.add(child_of(&parent));
    let reached = if reach == Reach::Key {
        vec![&parent]
    } else {
        vec![&parent, &child]
    };
    for handle in handles {
        // What a handle has shown before it must not remember.
        assert_eq!(
            handle.read(&parent.key.id),
            parent,
            "another handle shows something else"
        );
        assert_eq!(
            handle.read(&child.key.id),
            child,
            "another handle shows something else"
        );
    }
    store
        .revoke(&parent, reach, now())
        .expect("a key is revoked");
    for handle in handles {
        for record in &reached {
            assert_revoked(handle, &record.key.id, "after its revocation has returned");
        }
    }
    parent.key.id
}

fn nothing_undoes_it<H: Harness>(handles: &[Handle<'_, H>], revoked: &[KeyId]) {
    for (id, store) in revoked.iter().zip(handles.iter().rev()) {
        let current = store.read(id);
        // The version from before the revocation, the present one, and one to come.
        for version in [current.version - 1, current.version, current.version + 1] {
            let known = in_version(version, &current);
            let rename = Rename::new(Some(name("risen")), None);
            let kind = StoreErrorKind::NotFound;
            assert_refused(
                store.rename(&known, &rename),
                kind,
                "a rename of a revoked key",
            );
            assert_refused(
                store.rehash(&known, &credential(3)),
                kind,
                "a rehash of a revoked key",
            );
            for retire in [Retire::Now, Retire::At(Timestamp::MAX)] {
                let successor = successor_of(&known);
                let answer = store.rotate(&known, retire, &successor, now());
                assert_refused(answer, kind, "a rotation of a revoked key");
                assert_eq!(
                    store.find(&successor.key.id),
                    None,
                    "a revoked key has a successor"
                );
            }
        }
        let mut upsert = record("inserted again");
        upsert.key.id = *id;
        drop(store.insert(&upsert, now()));
        store.touch(&[(*id, at(1_000))]);
        store
            .revoke(&current, Reach::Descendants, at(-1_000))
            .expect("it is revoked again");
        for handle in handles {
            assert_revoked(handle, id, "after attempts to write to it");
        }
    }
}

/// Revokes a key in the midst of writes, each of which has read the record a moment before.
fn late_writes_do_not_undo_it<H: Harness>(handles: &[Handle<'_, H>], delay: Duration) -> KeyId {
    let [store, ..] = handles else { unreachable!() };
    let key = store.add(record("hammered"));
    let id = key.key.id;
    let revoked = AtomicBool::new(false);
    // Each write may be refused, but none may undo anything.
    race(handles, 7, |number, store| match number {
        0 => {
            thread::sleep(delay);
            let answer = store.revoke(&key, Reach::Key, now());
            revoked.store(true, Ordering::SeqCst);
            answer.expect("a key is revoked");
        }
        1 => until_after(&revoked, |_| {
            let late = Rename::new(Some(name("late")), None);
            drop(store.rename(&store.read(&id), &late));
        }),
        2 => until_after(&revoked, |round| {
            drop(store.rehash(&store.read(&id), &credential(round)));
        }),
        3 => until_after(&revoked, |round| store.touch(&[(id, at(i64::from(round)))])),
        4 => {
            let read = store.read(&id);
            drop(store.rotate(&read, Retire::At(at(500)), &successor_of(&read), now()));
        }
        _ => until_after(&revoked, |_| {
            let revoked_before = revoked.load(Ordering::SeqCst);
            let active = store.read(&id).key.revoked_at.is_none();
            assert!(
                !(revoked_before && active),
                "a find that started after a revocation shows the key as active"
            );
        }),
    });
    for handle in handles {
        assert_revoked(handle, &id, "after writes during its revocation");
    }
    id
}

/// Does something again and again, the last time after the key is revoked.
fn until_after(revoked: &AtomicBool, mut work: impl FnMut(u16)) {
    // The limit is for a revocation that panics.
    for round in 0..10_000 {
        let last = revoked.load(Ordering::SeqCst);
        work(round);
        if last {
            break;
        }
    }
}

/// Clause 5, idempotent revoke.
pub fn idempotent_revoke(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    second_time_changes_nothing(store, other);
    unknown_keys_are_not_found(store);
    one_of_many_is_first(&handles);
}

fn second_time_changes_nothing<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for key in [record("active"), expiring(record("expired"), at(-1))] {
        let key = store.add(key);
        let answer = store
            .revoke(&key, Reach::Key, now())
            .expect("a key is revoked");
        assert_eq!(
            answer,
            Revocation::new(true, 1),
            "the first revocation of a key"
        );
        let revoked = store.read(&key.key.id);
        assert_eq!(
            revoked.key.revoked_at,
            Some(now()),
            "the time of a revocation is the given one"
        );
        for reach in [Reach::Key, Reach::Descendants] {
            for time in [at(-5_000), now(), at(5_000)] {
                let answer = other
                    .revoke(&key, reach, time)
                    .expect("a key is revoked again");
                assert_eq!(
                    answer,
                    Revocation::new(false, 0),
                    "a revocation that changes nothing"
                );
                assert_eq!(
                    other.read(&key.key.id),
                    revoked,
                    "a second revocation changes the record"
                );
            }
        }
    }
}

fn unknown_keys_are_not_found<H: Harness>(store: &Handle<'_, H>) {
    let unknown = record("never inserted");
    for reach in [Reach::Key, Reach::Descendants] {
        let answer = store.revoke(&unknown, reach, now());
        assert_refused(
            answer,
            StoreErrorKind::NotFound,
            "a revocation of an unknown key",
        );
        assert_eq!(
            store.find(&unknown.key.id),
            None,
            "a revocation has made a record"
        );
    }
}

fn one_of_many_is_first<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let key = store.add(record("revoked by many"));
        let answers = race(handles, 6, |thread, store| {
            let time = at([0, 1, 2, 3, 4, 5][thread]);
            let reach = if thread % 2 == 0 {
                Reach::Key
            } else {
                Reach::Descendants
            };
            (
                time,
                store.revoke(&key, reach, time).expect("a key is revoked"),
            )
        });
        let (first, again): (Vec<_>, Vec<_>) = answers
            .into_iter()
            .partition(|(_, answer)| *answer == Revocation::new(true, 1));
        assert_eq!(
            first.len(),
            1,
            "round {round}: of concurrent revocations one is the first"
        );
        for (_, answer) in again {
            assert_eq!(
                answer,
                Revocation::new(false, 0),
                "round {round}: all others do nothing"
            );
        }
        let revoked = store.read(&key.key.id);
        assert_eq!(
            revoked.key.revoked_at,
            Some(first[0].0),
            "the first time stays"
        );
        assert_eq!(
            revoked.version, 2,
            "round {round}: the record has changed more than once"
        );
    }
}
