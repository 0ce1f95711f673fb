//! Clause 6: a revocation of a key and all that descends from it.

use super::{
    Harness,
    fixture::{assert_refused, at, child_of, expiring, now, record, record_in, successor_of},
    handle::{Handle, race},
};
use crate::{KeyId, Reach, Record, Retire, Revocation, StoreErrorKind};

/// Clause 6, cascade.
pub fn cascade(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, ..] = &handles;
    all_descendants_and_no_others(store);
    revoked_root_is_passed_through(store);
    successors_do_not_reach_back(store);
    any_depth(store);
    grandchild_is_refused_or_revoked(&handles);
    successor_is_refused_or_revoked(&handles);
}

fn rotated<H: Harness>(store: &Handle<'_, H>, predecessor: &Record, retire: Retire) -> Record {
    let successor = successor_of(predecessor);
    store
        .rotate(predecessor, retire, &successor, now())
        .expect("a key is rotated");
    successor
}

#[track_caller]
fn revoke_all<H: Harness>(store: &Handle<'_, H>, root: &Record) -> Revocation {
    store
        .revoke(root, Reach::Descendants, now())
        .expect("a key and its descendants are revoked")
}

fn read_all<H: Harness>(store: &Handle<'_, H>, records: &[&Record]) -> Vec<Record> {
    records
        .iter()
        .map(|record| store.read(&record.key.id))
        .collect()
}

#[track_caller]
fn assert_revoked<H: Harness>(store: &Handle<'_, H>, id: &KeyId, what: &str) {
    assert!(
        store.read(id).key.revoked_at.is_some(),
        "a cascade has left out {what}"
    );
}

fn all_descendants_and_no_others<H: Harness>(store: &Handle<'_, H>) {
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
    let heir = rotated(store, &child, Retire::At(at(500)));
    let heirs_child = store.add(child_of(&heir));
    let middle = store.add(child_of(&root));
    let below_middle = store.add(child_of(&middle));
    let replaced = store.add(child_of(&root));
    let replacing = rotated(store, &replaced, Retire::At(at(500)));
    // These have the ancestor as their parent: only the rotations lead to them.
    let roots_heir = rotated(store, &root, Retire::At(at(500)));
    let roots_heirs_child = store.add(child_of(&roots_heir));
    let second_heir = rotated(store, &roots_heir, Retire::At(at(500)));
    let second_heirs_child = store.add(child_of(&second_heir));
    store.withdraw(&replaced);
    store.withdraw(&middle);
    let reached = [
        (&root, "the key itself"),
        (&child, "a child"),
        (&grandchild, "a grandchild"),
        (&expired, "an expired grandchild"),
        (&heir, "the successor of a child"),
        (&heirs_child, "a child of a successor"),
        (&roots_heir, "the key's own successor"),
        (&roots_heirs_child, "a child of the key's own successor"),
        (&second_heir, "the successor of the key's own successor"),
        (&second_heirs_child, "a child of that one"),
        (&below_middle, "a child of a key that was revoked before"),
        (&replacing, "the successor of a key that was revoked before"),
    ];

    let unreached_before = read_all(store, &untouched);
    let revoked_before = read_all(store, &[&middle, &replaced]);
    let reached_before = read_all(store, &reached.map(|(record, _)| record));

    let count = revoke_all(store, &root).count;
    for ((record, what), mut before) in reached.into_iter().zip(reached_before) {
        assert_revoked(store, &record.key.id, what);
        let after = store.read(&record.key.id);
        before.key.revoked_at = after.key.revoked_at;
        before.version += 1;
        assert_eq!(
            after, before,
            "a cascade changes more than the revocation of {what}"
        );
    }
    assert_eq!(
        count,
        reached.len() as u64,
        "the count is that of the keys that were not revoked"
    );
    assert_eq!(
        read_all(store, &[&middle, &replaced]),
        revoked_before,
        "a cascade has revoked again what was revoked before",
    );
    assert_eq!(
        read_all(store, &untouched),
        unreached_before,
        "a cascade has reached a key that does not descend from its root",
    );
}

fn revoked_root_is_passed_through<H: Harness>(store: &Handle<'_, H>) {
    let root = store.add(record("root"));
    let child = store.add(child_of(&root));
    let grandchild = store.add(child_of(&child));
    store.withdraw(&root);
    let living = read_all(store, &[&child, &grandchild]);
    assert_eq!(
        living,
        [child.clone(), grandchild.clone()],
        "Reach::Key reaches the key alone"
    );

    let revoked = store.read(&root.key.id);
    assert_eq!(
        revoke_all(store, &root).count,
        2,
        "what is left below a revoked key is revoked"
    );
    assert_revoked(store, &child.key.id, "a child of a revoked root");
    assert_revoked(store, &grandchild.key.id, "a grandchild of a revoked root");
    assert_eq!(
        store.read(&root.key.id),
        revoked,
        "a cascade has changed its revoked root"
    );
    assert_eq!(
        revoke_all(store, &root).count,
        0,
        "nothing is left to a second cascade"
    );
}

fn successors_do_not_reach_back<H: Harness>(store: &Handle<'_, H>) {
    let predecessor = store.add(record("predecessor"));
    let child = store.add(child_of(&predecessor));
    let successor = rotated(store, &predecessor, Retire::At(at(500)));
    let before = read_all(store, &[&predecessor, &child]);
    assert_eq!(
        revoke_all(store, &successor).count,
        1,
        "nothing descends from the successor"
    );
    assert_eq!(
        read_all(store, &[&predecessor, &child]),
        before,
        "a predecessor and its children do not descend from the successor",
    );
}

fn any_depth<H: Harness>(store: &Handle<'_, H>) {
    const DEPTH: u64 = 40;
    let root = store.add(record("root"));
    let mut lowest = root.clone();
    for depth in 0..DEPTH {
        lowest = if depth % 3 == 2 {
            rotated(store, &lowest, Retire::At(at(500)))
        } else {
            store.add(child_of(&lowest))
        };
    }
    assert_eq!(
        revoke_all(store, &root).count,
        1 + DEPTH,
        "a cascade reaches any depth"
    );
    assert_revoked(store, &lowest.key.id, "the lowest of 40 generations");
}

fn grandchild_is_refused_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
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
        for (id, answer) in inserted.into_iter().flatten() {
            if answer.is_ok() {
                assert_revoked(
                    store,
                    &id,
                    &format!("a key admitted in the midst of it ({round})"),
                );
            } else {
                assert_refused(answer, StoreErrorKind::Conflict, "a child of a revoked key");
                assert_eq!(store.find(&id), None, "round {round}: refused, but stored");
            }
        }
    }
}

fn successor_is_refused_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
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
            let answer = store.rotate(&child, Retire::At(at(500)), &successor, now());
            Some((successor.key.id, answer))
        });
        for (id, answer) in successors.into_iter().flatten() {
            if answer.is_ok() {
                assert_revoked(
                    store,
                    &id,
                    &format!("a successor made in its midst ({round})"),
                );
            } else {
                assert_eq!(store.find(&id), None, "round {round}: refused, but stored");
            }
        }
    }
}
