//! Clause 2: a rotation is whole, and one.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, expiring, in_version, now, record, record_in, successor_of,
        unused_id,
    },
    handle::{Handle, race},
};
use crate::{Key, Reach, Record, Retire, Rotation, StoreErrorKind, Timestamp};

/// Clause 2, atomic rotate.
pub fn atomic_rotate(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    retire_now(store, other);
    retire_at_a_time(store, other);
    successors_are_keys_like_others(store);
    parent_need_not_be_active(store);
    refused_rotation_changes_nothing(store);
    caller_must_be_active(store, other);
    one_of_many_wins(&handles);
}

fn rotate<H: Harness>(store: &Handle<'_, H>, predecessor: &Record, retire: Retire) -> Record {
    let successor = successor_of(predecessor);
    let answer = store.rotate(predecessor, retire, &successor, now());
    assert!(
        answer.is_ok(),
        "an active key can be rotated, but: {answer:?}"
    );
    successor
}

/// What a predecessor is after a rotation.
fn retired(predecessor: &Record, retire: Retire, successor: &Record) -> Record {
    let mut key = Key {
        successor: Some(successor.key.id),
        ..predecessor.key.clone()
    };
    match retire {
        Retire::Now => key.revoked_at = Some(now()),
        Retire::At(end) => key.expires_at = Some(key.expires_at.map_or(end, |own| own.min(end))),
    }
    Record {
        key,
        credential: predecessor.credential.clone(),
        version: predecessor.version + 1,
    }
}

fn retire_now<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for end in [None, Some(at(500))] {
        let mut predecessor = record("replaced at once");
        predecessor.key.expires_at = end;
        let predecessor = store.add(predecessor);
        let successor = rotate(store, &predecessor, Retire::Now);
        let expected = retired(&predecessor, Retire::Now, &successor);
        assert_eq!(
            other.read(&predecessor.key.id),
            expected,
            "it is revoked, linked, and no more"
        );
        assert_eq!(
            other.read(&successor.key.id),
            successor,
            "the successor is stored as given"
        );
    }
}

fn retire_at_a_time<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for own_end in [
        None,
        Some(at(400)),
        Some(at(500)),
        Some(at(600)),
        Some(Timestamp::MAX),
    ] {
        for end in [at(0), at(500), Timestamp::MAX] {
            let mut predecessor = record("replaced later");
            predecessor.key.expires_at = own_end;
            let predecessor = store.add(predecessor);
            let successor = rotate(store, &predecessor, Retire::At(end));
            assert_eq!(
                other.read(&predecessor.key.id),
                retired(&predecessor, Retire::At(end), &successor),
                "a key that ends at {own_end:?} is to end at {end:?}, and never later than before",
            );
            assert_eq!(
                other.read(&successor.key.id),
                successor,
                "the successor is stored as given"
            );
        }
    }
}

fn successors_are_keys_like_others<H: Harness>(store: &Handle<'_, H>) {
    let first = store.add(record("first"));
    let second = rotate(store, &first, Retire::At(at(500)));
    let retired = store.read(&first.key.id);
    let third = rotate(store, &second, Retire::At(at(500)));
    assert_eq!(
        store.read(&second.key.id).key.successor,
        Some(third.key.id),
        "it has the link"
    );
    assert_eq!(
        store.read(&first.key.id),
        retired,
        "a rotation has changed an earlier one"
    );
    store.add(child_of(&third));
}

fn parent_need_not_be_active<H: Harness>(store: &Handle<'_, H>) {
    let parent = store.add(record("parent"));
    let children = [(); 2].map(|()| store.add(child_of(&parent)));
    store
        .revoke(&parent, Reach::Key, now())
        .expect("a parent is revoked");
    let ending = store.add(record("ending parent"));
    let third = store.add(child_of(&ending));
    rotate(store, &ending, Retire::At(at(1)));
    for (child, retire) in children.iter().zip([Retire::Now, Retire::At(at(500))]) {
        let successor = rotate(store, child, retire);
        assert_eq!(
            store.read(&successor.key.id),
            successor,
            "it keeps its revoked parent"
        );
    }
    let successor = successor_of(&third);
    let answer = store.rotate(&third, Retire::Now, &successor, at(1));
    assert!(
        answer.is_ok(),
        "the child of an expired key can be rotated, but: {answer:?}"
    );
}

fn refused_rotation_changes_nothing<H: Harness>(store: &Handle<'_, H>) {
    let mut cases = vec![(
        "a key that is unknown",
        record("never inserted"),
        StoreErrorKind::NotFound,
    )];

    let revoked = store.add(record("revoked"));
    store.withdraw(&revoked);
    cases.push((
        "a revoked key",
        store.read(&revoked.key.id),
        StoreErrorKind::NotFound,
    ));

    let rotated = store.add(record("rotated"));
    rotate(store, &rotated, Retire::At(at(500)));
    cases.push((
        "a key with a successor",
        store.read(&rotated.key.id),
        StoreErrorKind::Conflict,
    ));
    cases.push(("a rotation twice", rotated, StoreErrorKind::Conflict));

    let ending = store.add(expiring(record("ending"), at(0)));
    cases.push((
        "a key that expires at this moment",
        ending,
        StoreErrorKind::Conflict,
    ));
    let expired = store.add(expiring(record("expired"), at(-1)));
    cases.push(("an expired key", expired, StoreErrorKind::Conflict));

    let current = store.add(record("current"));
    for version in [0, 2, u64::MAX] {
        let other = in_version(version, &current);
        cases.push(("another version", other, StoreErrorKind::Conflict));
    }

    for (what, predecessor, kind) in cases {
        for retire in [Retire::Now, Retire::At(at(500))] {
            let before = store.find(&predecessor.key.id);
            let successor = successor_of(&predecessor);
            assert_refused(
                store.rotate(&predecessor, retire, &successor, now()),
                kind,
                what,
            );
            assert_eq!(
                store.find(&predecessor.key.id),
                before,
                "{what}: refused, but changed"
            );
            assert_eq!(
                store.find(&successor.key.id),
                None,
                "{what}: refused, but has a successor"
            );
        }
    }
    successor_id_must_be_new(store);
}

fn successor_id_must_be_new<H: Harness>(store: &Handle<'_, H>) {
    let predecessor = store.add(record("predecessor"));
    let holder = store.add(successor_of(&predecessor));
    for retire in [Retire::Now, Retire::At(at(500))] {
        for taken in [&holder, &predecessor] {
            let mut successor = successor_of(&predecessor);
            successor.key.id = taken.key.id;
            let answer = store.rotate(&predecessor, retire, &successor, now());
            assert_refused(
                answer,
                StoreErrorKind::AlreadyExists,
                "a successor whose id is taken",
            );
            assert_eq!(
                store.read(&predecessor.key.id),
                predecessor,
                "refused, but changed"
            );
            assert_eq!(
                store.read(&holder.key.id),
                holder,
                "a rotation has replaced another key"
            );
        }
    }
    rotate(store, &predecessor, Retire::Now);
}

fn caller_must_be_active<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let [revoked, active] = ["revoked", "active"].map(|text| store.add(record(text)));
    store.withdraw(&revoked);
    let expired = store.add(expiring(record("expired"), now()));
    let foreign = store.add(record_in("other", "of another workspace"));
    let ending = store.add(expiring(record("ends"), at(1_000)));
    for (caller, end, permitted) in [
        (revoked.key.id, None, false),
        (expired.key.id, None, false),
        (foreign.key.id, None, false),
        (unused_id(), None, false),
        (active.key.id, None, true),
        (ending.key.id, None, false),
        (ending.key.id, Some(at(1_001)), false),
        (ending.key.id, Some(at(1_000)), true),
    ] {
        let predecessor = store.add(record("rotated by a key"));
        let mut successor = successor_of(&predecessor);
        successor.key.expires_at = end;
        let rotation = Rotation::new(
            predecessor.key.id,
            predecessor.version,
            Retire::Now,
            successor.clone(),
        );
        let rotation = rotation.with_caller(Some(caller));
        let rotated = store
            .store()
            .rotate(&predecessor.key.workspace, &rotation, now());
        let answer = store.wait(rotated);
        if permitted {
            assert!(answer.is_ok(), "an active caller may rotate: {answer:?}");
        } else {
            let what = "a rotation for a caller that is not active, or ends before the successor";
            assert_refused(answer, StoreErrorKind::Conflict, what);
            assert_eq!(other.read(&predecessor.key.id), predecessor);
            assert_eq!(other.find(&successor.key.id), None);
        }
    }
}

fn one_of_many_wins<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let predecessor = store.add(record("wanted by many"));
        let answers = race(handles, 6, |thread, store| {
            let own = successor_of(&predecessor);
            let retire = match thread {
                _ if round % 2 == 0 => Retire::Now,
                0 => Retire::At(at(500)),
                1 => Retire::At(at(600)),
                _ => Retire::At(at(700)),
            };
            let answer = store.rotate(&predecessor, retire, &own, now());
            (own, retire, answer)
        });
        let mut winners = Vec::new();
        for (successor, retire, answer) in answers {
            let Err(error) = answer else {
                winners.push((successor, retire));
                continue;
            };
            // The winner may have revoked the key, which the others may tell instead.
            let revoked = retire == Retire::Now && error.kind() == StoreErrorKind::NotFound;
            assert!(
                revoked || error.kind() == StoreErrorKind::Conflict,
                "all but one rotation must be refused as Conflict, but: {error:?}",
            );
            let stored = store.find(&successor.key.id);
            assert_eq!(
                stored, None,
                "round {round}: refused, but its successor is there"
            );
        }
        let [(successor, retire)] = &*winners else {
            panic!(
                "round {round}: of concurrent rotations one wins, not {}",
                winners.len()
            );
        };
        assert_eq!(
            store.read(&predecessor.key.id),
            retired(&predecessor, *retire, successor),
            "round {round}: the predecessor does not have the winner's link and end",
        );
        assert_eq!(
            store.read(&successor.key.id),
            *successor,
            "the winner's successor is stored"
        );
    }
}
