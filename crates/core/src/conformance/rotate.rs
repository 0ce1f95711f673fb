//! Clause 2: a rotation happens completely or not at all, and a key is rotated only once.

use super::{
    fixture::{
        assert_rejected, at, child_of, disabled, expiring, in_version, now, record, record_in,
        successor_of, unused_id,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Key, Reach, Timestamp,
    store::{Record, Retire, StoreErrorKind},
};

/// Tests clause 2, atomic rotate.
pub fn atomic_rotate(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    predecessor_is_revoked_at_once(store, other);
    predecessor_expires_at_the_given_time(store, other);
    successor_can_be_rotated_and_create_keys(store);
    parent_need_not_be_active(store);
    rejected_rotation_changes_nothing(store);
    predecessors_in_all_states_are_retired_by_the_rule(store, other);
    caller_must_be_active(store, other);
    one_concurrent_rotation_succeeds(&handles);
}

fn rotate<H: Harness>(store: &Handle<'_, H>, predecessor: &Record, retire: Retire) -> Record {
    let successor = successor_of(predecessor);
    let result = store.rotate(predecessor, retire, &successor, now());
    assert!(
        result.is_ok(),
        "rejected a rotation of an active key: {result:?}"
    );
    successor
}

/// Returns the predecessor as it must be after the rotation.
fn retired(predecessor: &Record, retire: Retire, successor: &Record) -> Record {
    let mut key = Key {
        successor: Some(successor.key.id),
        ..predecessor.key.clone()
    };
    match retire {
        Retire::Now => key.revoked_at = Some(now()),
        Retire::At(end) => key.expires_at = Some(key.expires_at.map_or(end, |old| old.min(end))),
    }
    Record {
        key,
        version: predecessor.version + 1,
        ..predecessor.clone()
    }
}

fn predecessor_is_revoked_at_once<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for end in [None, Some(at(500))] {
        let mut predecessor = record("replaced at once");
        predecessor.key.expires_at = end;
        let predecessor = store.add(predecessor);
        let successor = rotate(store, &predecessor, Retire::Now);
        let expected = retired(&predecessor, Retire::Now, &successor);
        assert_eq!(
            other.read(&predecessor.key.id),
            expected,
            "did not revoke and link the predecessor, or changed more than that"
        );
        assert_eq!(
            other.read(&successor.key.id),
            successor,
            "stored a successor with changes"
        );
    }
}

fn predecessor_expires_at_the_given_time<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for current_end in [
        None,
        Some(at(400)),
        Some(at(500)),
        Some(at(600)),
        Some(Timestamp::MAX),
    ] {
        for end in [at(0), at(500), Timestamp::MAX] {
            let mut predecessor = record("replaced later");
            predecessor.key.expires_at = current_end;
            let predecessor = store.add(predecessor);
            let successor = rotate(store, &predecessor, Retire::At(end));
            assert_eq!(
                other.read(&predecessor.key.id),
                retired(&predecessor, Retire::At(end), &successor),
                "a key that expired at {current_end:?} and was retired at {end:?} does not expire at the earlier",
            );
            assert_eq!(
                other.read(&successor.key.id),
                successor,
                "stored a successor with changes"
            );
        }
    }
}

fn successor_can_be_rotated_and_create_keys<H: Harness>(store: &Handle<'_, H>) {
    let first = store.add(record("first"));
    let second = rotate(store, &first, Retire::At(at(500)));
    let retired = store.read(&first.key.id);
    let third = rotate(store, &second, Retire::At(at(500)));
    assert_eq!(
        store.read(&second.key.id).key.successor,
        Some(third.key.id),
        "did not link a successor to its own successor"
    );
    assert_eq!(
        store.read(&first.key.id),
        retired,
        "a rotation changed the predecessor of its predecessor"
    );
    store.add(child_of(&third));
}

fn parent_need_not_be_active<H: Harness>(store: &Handle<'_, H>) {
    let parent = store.add(record("parent"));
    let children = [(); 2].map(|()| store.add(child_of(&parent)));
    store
        .revoke(&parent, Reach::Key, now())
        .expect("the store failed to revoke a parent");
    let expiring_key = store.add(record("expiring parent"));
    let third = store.add(child_of(&expiring_key));
    rotate(store, &expiring_key, Retire::At(at(1)));
    for (child, retire) in children.iter().zip([Retire::Now, Retire::At(at(500))]) {
        let successor = rotate(store, child, retire);
        assert_eq!(
            store.read(&successor.key.id),
            successor,
            "stored a successor with changes after its parent was revoked"
        );
    }
    let successor = successor_of(&third);
    let result = store.rotate(&third, Retire::Now, &successor, at(1));
    assert!(
        result.is_ok(),
        "rejected a rotation of the child of an expired key: {result:?}"
    );
}

fn rejected_rotation_changes_nothing<H: Harness>(store: &Handle<'_, H>) {
    let mut cases = vec![(
        "a rotation of an unknown key",
        record("never inserted"),
        StoreErrorKind::NotFound,
    )];

    let revoked = store.add(record("revoked"));
    store.revoke_key(&revoked);
    cases.push((
        "a rotation of a revoked key",
        store.read(&revoked.key.id),
        StoreErrorKind::NotFound,
    ));

    let rotated = store.add(record("rotated"));
    rotate(store, &rotated, Retire::At(at(500)));
    cases.push((
        "a rotation of a key with a successor",
        store.read(&rotated.key.id),
        StoreErrorKind::Conflict,
    ));
    cases.push(("a repeated rotation", rotated, StoreErrorKind::Conflict));

    let expiring_key = store.add(expiring(record("expiring"), at(0)));
    cases.push((
        "a rotation of a key that expires at this moment",
        expiring_key,
        StoreErrorKind::Conflict,
    ));
    let expired = store.add(expiring(record("expired"), at(-1)));
    cases.push((
        "a rotation of an expired key",
        expired,
        StoreErrorKind::Conflict,
    ));

    let inserted = store.add(disabled(record("disabled")));
    let paused = store.add(record("paused"));
    let paused = store.change(&paused, |key| key.enabled = false);
    for key in [inserted, paused] {
        cases.push((
            "a rotation of a disabled key",
            key,
            StoreErrorKind::Conflict,
        ));
    }

    let current = store.add(record("current"));
    for version in [0, 2, u64::MAX] {
        let other = in_version(version, &current);
        cases.push((
            "a rotation of another version",
            other,
            StoreErrorKind::Conflict,
        ));
    }

    for (call, predecessor, kind) in cases {
        for retire in [Retire::Now, Retire::At(at(500))] {
            let before = store.find(&predecessor.key.id);
            let successor = successor_of(&predecessor);
            assert_rejected(
                store.rotate(&predecessor, retire, &successor, now()),
                kind,
                call,
            );
            assert_eq!(
                store.find(&predecessor.key.id),
                before,
                "{call}: rejected, but changed the predecessor"
            );
            assert_eq!(
                store.find(&successor.key.id),
                None,
                "{call}: rejected, but stored the successor"
            );
        }
    }
    successor_id_must_be_new(store);
}

/// Compares the store with [`Record::retire`] for predecessors in all states.
fn predecessors_in_all_states_are_retired_by_the_rule<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) {
    let predecessor = |state: u8, end| {
        let [is_disabled, is_rotated, is_revoked] = [1, 2, 4].map(|bit| state & bit != 0);
        let mut key = store.add(record("predecessor"));
        if is_rotated {
            rotate(store, &key, Retire::At(at(2_000)));
            key = store.read(&key.key.id);
        }
        key = store.change(&key, |key| {
            key.enabled = !is_disabled;
            key.expires_at = end;
        });
        if is_revoked {
            store.revoke_key(&key);
        }
        store.read(&key.key.id)
    };
    for state in 0..8 {
        for end in [None, Some(at(0)), Some(at(1)), Some(at(1_000))] {
            for retire in [Retire::Now, Retire::At(at(500))] {
                let before = predecessor(state, end);
                let successor = successor_of(&before);
                let mut expected = before.clone();
                let allowed = expected.retire(before.version, retire, successor.key.id, now());
                let result = store.rotate(&before, retire, &successor, now());
                assert_eq!(
                    result.map_err(|error| error.kind()),
                    allowed,
                    "rotated {before:?} against the rule, or rejected a rotation that it allows"
                );
                assert_eq!(
                    other.read(&before.key.id),
                    expected,
                    "did not change a predecessor by the rule"
                );
                assert_eq!(
                    other.find(&successor.key.id),
                    allowed.is_ok().then_some(successor),
                    "stored the successor of a rejected rotation, or lost the other"
                );
            }
        }
    }
}

fn successor_id_must_be_new<H: Harness>(store: &Handle<'_, H>) {
    let predecessor = store.add(record("predecessor"));
    let holder = store.add(successor_of(&predecessor));
    for retire in [Retire::Now, Retire::At(at(500))] {
        for taken in [&holder, &predecessor] {
            let mut successor = successor_of(&predecessor);
            successor.key.id = taken.key.id;
            let result = store.rotate(&predecessor, retire, &successor, now());
            assert_rejected(
                result,
                StoreErrorKind::AlreadyExists,
                "a rotation to a successor whose id exists",
            );
            assert_eq!(
                store.read(&predecessor.key.id),
                predecessor,
                "a rejected rotation changed the predecessor"
            );
            assert_eq!(
                store.read(&holder.key.id),
                holder,
                "a rotation replaced another key"
            );
        }
    }
    rotate(store, &predecessor, Retire::Now);
}

fn caller_must_be_active<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let [revoked, active] = ["revoked", "active"].map(|text| store.add(record(text)));
    store.revoke_key(&revoked);
    let expired = store.add(expiring(record("expired"), now()));
    let inserted = store.add(disabled(record("disabled")));
    let [paused, resumed] = ["paused", "resumed"].map(|text| {
        let key = store.add(record(text));
        other.change(&key, |key| key.enabled = false)
    });
    let resumed = other.change(&resumed, |key| key.enabled = true);
    let foreign = store.add(record_in("other", "of another workspace"));
    let expiring_key = store.add(expiring(record("expires"), at(1_000)));
    let [mut weaker, mut elsewhere] = ["weaker", "elsewhere"].map(record);
    weaker.key.permissions = "calls:read".parse().unwrap();
    elsewhere.key.allowed_ips = Some("192.0.2.7".parse().unwrap());
    let [weaker, elsewhere] = [weaker, elsewhere].map(|record| store.add(record));
    for (caller, end, permitted) in [
        (revoked.key.id, None, false),
        (expired.key.id, None, false),
        (inserted.key.id, None, false),
        (paused.key.id, None, false),
        (resumed.key.id, None, true),
        (foreign.key.id, None, false),
        (unused_id(), None, false),
        (active.key.id, None, true),
        (weaker.key.id, None, false),
        (elsewhere.key.id, None, false),
        (expiring_key.key.id, None, false),
        (expiring_key.key.id, Some(at(1_001)), false),
        (expiring_key.key.id, Some(at(1_000)), true),
    ] {
        let predecessor = store.add(record("rotated by a key"));
        let mut successor = successor_of(&predecessor);
        successor.key.rotated_by = Some(caller);
        successor.key.expires_at = end;
        let result = store.rotate(&predecessor, Retire::Now, &successor, now());
        if permitted {
            assert!(
                result.is_ok(),
                "rejected a rotation by an active caller: {result:?}"
            );
            assert_eq!(
                other.read(&successor.key.id),
                successor,
                "stored a successor with changes"
            );
        } else {
            let call = "a rotation by a caller that is inactive or does not cover the successor";
            assert_rejected(result, StoreErrorKind::Conflict, call);
            assert_eq!(
                other.read(&predecessor.key.id),
                predecessor,
                "{call}: rejected, but changed the predecessor"
            );
            assert_eq!(
                other.find(&successor.key.id),
                None,
                "{call}: rejected, but stored the successor"
            );
        }
    }
}

fn one_concurrent_rotation_succeeds<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let predecessor = store.add(record("rotated by many"));
        let results = race(handles, 6, |thread, store| {
            let successor = successor_of(&predecessor);
            let retire = match thread {
                _ if round % 2 == 0 => Retire::Now,
                0 => Retire::At(at(500)),
                1 => Retire::At(at(600)),
                _ => Retire::At(at(700)),
            };
            let result = store.rotate(&predecessor, retire, &successor, now());
            (successor, retire, result)
        });
        let mut winners = Vec::new();
        for (successor, retire, result) in results {
            let Err(error) = result else {
                winners.push((successor, retire));
                continue;
            };
            // The winner may have revoked the key. The other rotations may report that instead.
            let revoked = retire == Retire::Now && error.kind() == StoreErrorKind::NotFound;
            assert!(
                revoked || error.kind() == StoreErrorKind::Conflict,
                "round {round}: a concurrent rotation failed, but not with a conflict: {error:?}",
            );
            let stored = store.find(&successor.key.id);
            assert_eq!(
                stored, None,
                "round {round}: stored the successor of a rejected rotation"
            );
        }
        let [(successor, retire)] = &*winners else {
            panic!(
                "round {round}: {} of several concurrent rotations succeeded, not 1",
                winners.len()
            );
        };
        assert_eq!(
            store.read(&predecessor.key.id),
            retired(&predecessor, *retire, successor),
            "round {round}: did not retire the predecessor as the successful rotation requires",
        );
        assert_eq!(
            store.read(&successor.key.id),
            *successor,
            "round {round}: did not store the successor of the successful rotation"
        );
    }
}
