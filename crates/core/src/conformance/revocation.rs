//! Clauses 4 and 5: a revocation is final, and repeating it changes nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, disabled, expiring, in_version, now, record,
        successor_of,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    KeyId, Reach, Revocation, Status, Timestamp,
    store::{Retire, StoreErrorKind},
};

/// Tests clause 4, monotone revocation.
pub fn monotone_revocation(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let mut revoked = vec![
        every_handle_shows_a_revocation(&handles, Reach::Key),
        every_handle_shows_a_revocation(&handles, Reach::Descendants),
        revoked_while_paused(&handles),
    ];
    no_later_write_undoes_a_revocation(&handles, &revoked);
    // Each delay revokes the key at a different moment of the writes.
    let delays = (0..15).map(|round| Duration::from_micros(200 * round));
    revoked.extend(delays.map(|delay| no_concurrent_write_undoes_a_revocation(&handles, delay)));

    let [store, others @ ..] = handles;
    drop(others);
    let store = store.reopened();
    for id in revoked {
        assert_revoked(&store, &id, "after a restart");
    }
}

#[track_caller]
fn assert_revoked<H: Harness>(store: &Handle<'_, H>, id: &KeyId, when: &str) {
    // The status of a revoked key does not depend on the time.
    for time in [id.created_at(), now(), Timestamp::MAX] {
        let status = store.read(id).key.status(time);
        assert_eq!(
            status,
            Status::Revoked,
            "returned a revoked key as {status} {when}"
        );
    }
}

fn every_handle_shows_a_revocation<H: Harness>(handles: &[Handle<'_, H>], reach: Reach) -> KeyId {
    let [store, ..] = handles else { unreachable!() };
    let parent = store.add(record("parent"));
    let child = store.add(child_of(&parent));
    let reached = if reach == Reach::Key {
        vec![&parent]
    } else {
        vec![&parent, &child]
    };
    for handle in handles {
        // A handle must not keep returning a copy that it read before the revocation.
        assert_eq!(
            handle.read(&parent.key.id),
            parent,
            "two handles return different records"
        );
        assert_eq!(
            handle.read(&child.key.id),
            child,
            "two handles return different records"
        );
    }
    store
        .revoke(&parent, reach, now())
        .expect("the store failed to revoke a key");
    for handle in handles {
        for record in &reached {
            assert_revoked(handle, &record.key.id, "after the revocation returned");
        }
    }
    parent.key.id
}

fn revoked_while_paused<H: Harness>(handles: &[Handle<'_, H>]) -> KeyId {
    let [store, other, _] = handles else {
        unreachable!()
    };
    let paused = store.add(expiring(disabled(record("paused")), at(-1)));
    other.revoke_key(&paused);
    assert_revoked(store, &paused.key.id, "although it was paused");
    paused.key.id
}

fn no_later_write_undoes_a_revocation<H: Harness>(handles: &[Handle<'_, H>], revoked: &[KeyId]) {
    for (id, store) in revoked.iter().zip(handles.iter().rev()) {
        let current = store.read(id);
        // The version before the revocation, the current version, and a future version.
        for version in [current.version - 1, current.version, current.version + 1] {
            let claimed = in_version(version, &current);
            let kind = StoreErrorKind::NotFound;
            assert_rejected(
                store.rename(&claimed, "reactivated"),
                kind,
                "a rename of a revoked key",
            );
            let mut enabled = current.key.clone();
            enabled.revoked_at = None;
            enabled.enabled = true;
            enabled.expires_at = None;
            assert_rejected(
                store.update(&claimed, &enabled),
                kind,
                "an update that enables a revoked key",
            );
            assert_rejected(
                store.rehash(&claimed, &credential(3)),
                kind,
                "a rehash of a revoked key",
            );
            for retire in [Retire::Now, Retire::At(Timestamp::MAX)] {
                let successor = successor_of(&claimed);
                let result = store.rotate(&claimed, retire, &successor, now());
                assert_rejected(result, kind, "a rotation of a revoked key");
                assert_eq!(
                    store.find(&successor.key.id),
                    None,
                    "a rejected rotation of a revoked key stored the successor"
                );
            }
        }
        let mut upsert = record("inserted again");
        upsert.key.id = *id;
        drop(store.insert(&upsert, now()));
        store.touch(&[(*id, at(1_000))]);
        store
            .revoke(&current, Reach::Descendants, at(-1_000))
            .expect("the store failed to revoke a key again");
        for handle in handles {
            assert_revoked(handle, id, "after later writes");
        }
    }
}

/// Revokes a key during other writes, each of which read the record just before.
fn no_concurrent_write_undoes_a_revocation<H: Harness>(
    handles: &[Handle<'_, H>],
    delay: Duration,
) -> KeyId {
    let [store, ..] = handles else { unreachable!() };
    let key = store.add(record("written by many"));
    let id = key.key.id;
    let revoked = AtomicBool::new(false);
    // The store may reject each write, but no write may undo the revocation.
    race(handles, 7, |number, store| match number {
        0 => {
            thread::sleep(delay);
            let result = store.revoke(&key, Reach::Key, now());
            revoked.store(true, Ordering::SeqCst);
            result.expect("the store failed to revoke a key");
        }
        1 => until_after(&revoked, |_| {
            let read = store.read(&id);
            let mut changed = read.key.clone();
            changed.enabled = !changed.enabled;
            drop(store.update(&read, &changed));
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
            let was_revoked = revoked.load(Ordering::SeqCst);
            let active = store.read(&id).key.revoked_at.is_none();
            assert!(
                !(was_revoked && active),
                "a lookup that started after the revocation returned the key as active"
            );
        }),
    });
    for handle in handles {
        assert_revoked(handle, &id, "after concurrent writes");
    }
    id
}

/// Calls `work` repeatedly. The last call starts after the key was revoked.
fn until_after(revoked: &AtomicBool, mut work: impl FnMut(u16)) {
    // The limit ends the loop if the revocation panics.
    for round in 0..10_000 {
        let last = revoked.load(Ordering::SeqCst);
        work(round);
        if last {
            break;
        }
    }
}

/// Tests clause 5, idempotent revoke.
pub fn idempotent_revoke(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    repeated_revocation_changes_nothing(store, other);
    unknown_key_is_not_found(store);
    one_concurrent_revocation_is_first(&handles);
}

fn repeated_revocation_changes_nothing<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for key in [record("active"), expiring(record("expired"), at(-1))] {
        let key = store.add(key);
        let result = store
            .revoke(&key, Reach::Key, now())
            .expect("the store failed to revoke a key");
        assert_eq!(
            result,
            Revocation::new(true, 1),
            "did not report the first revocation of a key as the first"
        );
        let revoked = store.read(&key.key.id);
        assert_eq!(
            revoked.key.revoked_at,
            Some(now()),
            "stored a time of revocation other than the given one"
        );
        for reach in [Reach::Key, Reach::Descendants] {
            for time in [at(-5_000), now(), at(5_000)] {
                let result = other
                    .revoke(&key, reach, time)
                    .expect("the store failed to revoke a key again");
                assert_eq!(
                    result,
                    Revocation::new(false, 0),
                    "reported a repeated revocation as a change"
                );
                assert_eq!(
                    other.read(&key.key.id),
                    revoked,
                    "a repeated revocation changed the record"
                );
            }
        }
    }
}

fn unknown_key_is_not_found<H: Harness>(store: &Handle<'_, H>) {
    let unknown = record("never inserted");
    for reach in [Reach::Key, Reach::Descendants] {
        let result = store.revoke(&unknown, reach, now());
        assert_rejected(
            result,
            StoreErrorKind::NotFound,
            "a revocation of an unknown key",
        );
        assert_eq!(
            store.find(&unknown.key.id),
            None,
            "a revocation created a record"
        );
    }
}

fn one_concurrent_revocation_is_first<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let key = store.add(record("revoked by many"));
        let results = race(handles, 6, |thread, store| {
            let time = at([0, 1, 2, 3, 4, 5][thread]);
            let reach = if thread % 2 == 0 {
                Reach::Key
            } else {
                Reach::Descendants
            };
            (
                time,
                store
                    .revoke(&key, reach, time)
                    .expect("the store failed to revoke a key"),
            )
        });
        let (first, repeated): (Vec<_>, Vec<_>) = results
            .into_iter()
            .partition(|(_, result)| *result == Revocation::new(true, 1));
        assert_eq!(
            first.len(),
            1,
            "round {round}: not exactly one of several concurrent revocations is the first"
        );
        for (_, result) in repeated {
            assert_eq!(
                result,
                Revocation::new(false, 0),
                "round {round}: reported a repeated revocation as a change"
            );
        }
        let revoked = store.read(&key.key.id);
        assert_eq!(
            revoked.key.revoked_at,
            Some(first[0].0),
            "round {round}: did not keep the time of the first revocation"
        );
        assert_eq!(
            revoked.version, 2,
            "round {round}: changed the record more than once"
        );
    }
}
