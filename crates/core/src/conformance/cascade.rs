//! Clause 6: the revocation of a key and all its descendants.

use super::{
    fixture::{
        assert_rejected, at, child_of, expiring, now, received_by, record, record_in, successor_of,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    KeyId, Reach, Revocation,
    store::{Record, Retire, StoreErrorKind},
};

/// Tests clause 6, cascade.
pub fn cascade(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, ..] = &handles;
    cascade_reaches_all_descendants_and_no_other_key(store);
    cascade_passes_through_a_revoked_root(store);
    cascade_does_not_reach_predecessors(store);
    cascade_reaches_keys_received_by_rotation(store);
    cascade_ends_in_entangled_lineage(store);
    cascade_reaches_any_depth(store);
    concurrent_grandchild_is_rejected_or_revoked(&handles);
    concurrent_successor_is_rejected_or_revoked(&handles);
    concurrent_rotation_by_the_root_is_rejected_or_revoked(&handles);
}

fn rotated<H: Harness>(store: &Handle<'_, H>, predecessor: &Record, retire: Retire) -> Record {
    let successor = successor_of(predecessor);
    store
        .rotate(predecessor, retire, &successor, now())
        .expect("the store failed to rotate a key");
    successor
}

/// Rotates a key on behalf of `caller`, which receives the successor's secret.
fn rotated_by<H: Harness>(
    store: &Handle<'_, H>,
    caller: &Record,
    predecessor: &Record,
    retire: Retire,
) -> Record {
    let successor = received_by(caller, predecessor);
    store
        .rotate(predecessor, retire, &successor, now())
        .expect("the store failed to rotate a key on behalf of another");
    successor
}

#[track_caller]
fn revoke_all<H: Harness>(store: &Handle<'_, H>, root: &Record) -> Revocation {
    store
        .revoke(root, Reach::Descendants, now())
        .expect("the store failed to revoke a key and its descendants")
}

fn read_all<H: Harness>(store: &Handle<'_, H>, records: &[&Record]) -> Vec<Record> {
    records
        .iter()
        .map(|record| store.read(&record.key.id))
        .collect()
}

#[track_caller]
fn assert_revoked<H: Harness>(store: &Handle<'_, H>, id: &KeyId, descendant: &str) {
    assert!(
        store.read(id).key.revoked_at.is_some(),
        "a cascade missed {descendant}"
    );
}

fn cascade_reaches_all_descendants_and_no_other_key<H: Harness>(store: &Handle<'_, H>) {
    let ancestor = store.add(record("ancestor"));
    let root = store.add(child_of(&ancestor));
    let sibling = store.add(child_of(&ancestor));
    let nephew = store.add(child_of(&sibling));
    let unrelated = store.add(record("unrelated"));
    let foreign = store.add(record_in("other", "foreign"));
    let untouched = [&ancestor, &sibling, &nephew, &unrelated, &foreign];

    let child = store.add(child_of(&root));
    let grandchild = store.add(child_of(&child));
    let expired = store.add(expiring(child_of(&child), at(-1)));
    let successor = rotated(store, &child, Retire::At(at(500)));
    let child_of_successor = store.add(child_of(&successor));
    let revoked = store.add(child_of(&root));
    let child_of_revoked = store.add(child_of(&revoked));
    let rotated_and_revoked = store.add(child_of(&root));
    let successor_of_revoked = rotated(store, &rotated_and_revoked, Retire::At(at(500)));
    // Only the rotations link the root to its successors: their parent is the ancestor.
    let root_successor = rotated(store, &root, Retire::At(at(500)));
    let child_of_root_successor = store.add(child_of(&root_successor));
    let second_successor = rotated(store, &root_successor, Retire::At(at(500)));
    let child_of_second_successor = store.add(child_of(&second_successor));
    store.revoke_key(&rotated_and_revoked);
    store.revoke_key(&revoked);
    let reached = [
        (&root, "the root"),
        (&child, "a child"),
        (&grandchild, "a grandchild"),
        (&expired, "an expired grandchild"),
        (&successor, "the successor of a child"),
        (&child_of_successor, "a child of a successor"),
        (&root_successor, "the root's successor"),
        (&child_of_root_successor, "a child of the root's successor"),
        (&second_successor, "the successor of the root's successor"),
        (
            &child_of_second_successor,
            "a child of the successor of the root's successor",
        ),
        (
            &child_of_revoked,
            "a child of a key that was already revoked",
        ),
        (
            &successor_of_revoked,
            "the successor of a key that was already revoked",
        ),
    ];

    let unreached_before = read_all(store, &untouched);
    let revoked_before = read_all(store, &[&revoked, &rotated_and_revoked]);
    let reached_before = read_all(store, &reached.map(|(record, _)| record));

    let count = revoke_all(store, &root).count;
    for ((record, descendant), mut before) in reached.into_iter().zip(reached_before) {
        assert_revoked(store, &record.key.id, descendant);
        let after = store.read(&record.key.id);
        before.key.revoked_at = after.key.revoked_at;
        before.version += 1;
        assert_eq!(
            after, before,
            "a cascade changed more than the revocation of {descendant}"
        );
    }
    assert_eq!(
        count,
        reached.len() as u64,
        "a cascade did not count exactly the keys that it revoked"
    );
    assert_eq!(
        read_all(store, &[&revoked, &rotated_and_revoked]),
        revoked_before,
        "a cascade changed a key that was already revoked",
    );
    assert_eq!(
        read_all(store, &untouched),
        unreached_before,
        "a cascade changed a key that does not descend from its root",
    );
}

fn cascade_passes_through_a_revoked_root<H: Harness>(store: &Handle<'_, H>) {
    let root = store.add(record("root"));
    let child = store.add(child_of(&root));
    let grandchild = store.add(child_of(&child));
    store.revoke_key(&root);
    let descendants = read_all(store, &[&child, &grandchild]);
    assert_eq!(
        descendants,
        [child.clone(), grandchild.clone()],
        "a revocation of a key alone changed its descendants"
    );

    let revoked = store.read(&root.key.id);
    assert_eq!(
        revoke_all(store, &root).count,
        2,
        "a cascade from a revoked root did not count its two descendants"
    );
    assert_revoked(store, &child.key.id, "a child of a revoked root");
    assert_revoked(store, &grandchild.key.id, "a grandchild of a revoked root");
    assert_eq!(
        store.read(&root.key.id),
        revoked,
        "a cascade changed its revoked root"
    );
    assert_eq!(
        revoke_all(store, &root).count,
        0,
        "a repeated cascade counted keys that were already revoked"
    );
}

fn cascade_does_not_reach_predecessors<H: Harness>(store: &Handle<'_, H>) {
    let predecessor = store.add(record("predecessor"));
    let child = store.add(child_of(&predecessor));
    let successor = rotated(store, &predecessor, Retire::At(at(500)));
    let before = read_all(store, &[&predecessor, &child]);
    assert_eq!(
        revoke_all(store, &successor).count,
        1,
        "a cascade from a successor counted other keys"
    );
    assert_eq!(
        read_all(store, &[&predecessor, &child]),
        before,
        "a cascade from a successor changed its predecessor or the predecessor's child",
    );
}

fn cascade_reaches_keys_received_by_rotation<H: Harness>(store: &Handle<'_, H>) {
    let root = store.add(record("root"));
    let middle = store.add(child_of(&root));
    // The keys that the root and its child rotate belong to another lineage, which stays.
    let parent = store.add(record("parent"));
    let [kept, revoked] = [(); 2].map(|()| store.add(child_of(&parent)));
    let child_of_kept = store.add(child_of(&kept));
    let by_root = rotated_by(store, &root, &kept, Retire::At(at(500)));
    let by_middle = rotated_by(store, &middle, &revoked, Retire::Now);
    let child_of_received = store.add(child_of(&by_root));
    let successor_of_received = rotated(store, &by_middle, Retire::At(at(500)));
    let alone = store.add(record("alone"));
    let by_alone = rotated_by(store, &alone, &child_of_kept, Retire::At(at(500)));
    let untouched = [&parent, &kept, &revoked, &child_of_kept, &alone, &by_alone];
    let before = read_all(store, &untouched);

    let count = revoke_all(store, &root).count;
    for (record, descendant) in [
        (&by_root, "a key that the root received by rotation"),
        (&by_middle, "a key that a descendant received by rotation"),
        (&child_of_received, "a child of a key received by rotation"),
        (
            &successor_of_received,
            "the successor of a key received by rotation",
        ),
    ] {
        assert_revoked(store, &record.key.id, descendant);
    }
    assert_eq!(
        count, 6,
        "a cascade did not count exactly the keys that it revoked"
    );
    assert_eq!(
        read_all(store, &untouched),
        before,
        "a cascade changed the lineage of a key that its root had rotated",
    );
}

/// Children rotate their parents, and each successor rotates the child: each key is reached on
/// several ways.
fn cascade_ends_in_entangled_lineage<H: Harness>(store: &Handle<'_, H>) {
    const ROUNDS: u64 = 8;
    let root = store.add(record("root"));
    let mut child = store.add(child_of(&root));
    let mut parent = root.clone();
    for _ in 0..ROUNDS {
        parent = rotated_by(store, &child, &parent, Retire::At(at(500)));
        child = rotated_by(store, &parent, &child, Retire::At(at(500)));
    }
    // A key may also rotate itself.
    let last = rotated_by(store, &child, &child, Retire::At(at(500)));
    assert_eq!(
        revoke_all(store, &root).count,
        2 * ROUNDS + 3,
        "a cascade did not revoke each key of an entangled lineage once"
    );
    for record in [&parent, &child, &last] {
        assert_revoked(store, &record.key.id, "a key of an entangled lineage");
    }
}

fn cascade_reaches_any_depth<H: Harness>(store: &Handle<'_, H>) {
    const DEPTH: u64 = 40;
    let root = store.add(record("root"));
    let mut youngest = root.clone();
    for depth in 0..DEPTH {
        youngest = if depth % 3 == 2 {
            rotated(store, &youngest, Retire::At(at(500)))
        } else {
            store.add(child_of(&youngest))
        };
    }
    assert_eq!(
        revoke_all(store, &root).count,
        1 + DEPTH,
        "a cascade did not count all 40 generations"
    );
    assert_revoked(store, &youngest.key.id, "the last of 40 generations");
}

fn concurrent_grandchild_is_rejected_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..15 {
        let root = store.add(record("root"));
        let child = store.add(child_of(&root));
        let inserted = race(handles, 4, |thread, store| {
            if thread == 0 {
                revoke_all(store, &root);
                return None;
            }
            let grandchild = child_of(&child);
            Some((grandchild.key.id, store.insert(&grandchild, now())))
        });
        for (id, result) in inserted.into_iter().flatten() {
            if result.is_ok() {
                assert_revoked(
                    store,
                    &id,
                    &format!("a key that was inserted meanwhile (round {round})"),
                );
            } else {
                assert_rejected(
                    result,
                    StoreErrorKind::Conflict,
                    "an insert of a child of a revoked key",
                );
                assert_eq!(
                    store.find(&id),
                    None,
                    "round {round}: stored a rejected child"
                );
            }
        }
    }
}

fn concurrent_successor_is_rejected_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..15 {
        let root = store.add(record("root"));
        let child = store.add(child_of(&root));
        let successors = race(handles, 2, |thread, store| {
            if thread == 0 {
                revoke_all(store, &root);
                return None;
            }
            let successor = successor_of(&child);
            let result = store.rotate(&child, Retire::At(at(500)), &successor, now());
            Some((successor.key.id, result))
        });
        for (id, result) in successors.into_iter().flatten() {
            if result.is_ok() {
                assert_revoked(
                    store,
                    &id,
                    &format!("a successor that was inserted meanwhile (round {round})"),
                );
            } else {
                assert_eq!(
                    store.find(&id),
                    None,
                    "round {round}: stored the successor of a rejected rotation"
                );
            }
        }
    }
}

/// A leaked key rotates another key while it is revoked itself.
fn concurrent_rotation_by_the_root_is_rejected_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..15 {
        let root = store.add(record("root"));
        let rotations = race(handles, 4, |thread, store| {
            if thread == 0 {
                revoke_all(store, &root);
                return None;
            }
            let predecessor = store.add(record("rotated meanwhile"));
            let successor = received_by(&root, &predecessor);
            let result = store.rotate(&predecessor, Retire::Now, &successor, now());
            Some((predecessor, successor.key.id, result))
        });
        for (predecessor, id, result) in rotations.into_iter().flatten() {
            if result.is_ok() {
                assert_revoked(
                    store,
                    &id,
                    &format!("a key that its root received meanwhile (round {round})"),
                );
                continue;
            }
            assert_rejected(
                result,
                StoreErrorKind::Conflict,
                "a rotation by a revoked key",
            );
            assert_eq!(
                store.find(&id),
                None,
                "round {round}: stored the successor of a rejected rotation"
            );
            assert_eq!(
                store.read(&predecessor.key.id),
                predecessor,
                "round {round}: a rejected rotation changed the predecessor"
            );
        }
    }
}
