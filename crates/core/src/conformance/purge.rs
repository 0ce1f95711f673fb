//! Clause 16: what was revoked long ago is deleted, and nothing else.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, expiring, name, now, record, record_in, successor_of,
        workspace,
    },
    handle::{Handle, race},
};
use crate::{KeyId, ListKeys, Purge, Reach, Record, Rename, Retire, StoreErrorKind, Timestamp};

/// Clause 16, purge.
pub fn purge(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    assert_eq!(store.purge(&everything(100)), 0, "an empty store has none");
    revoked_before_and_no_others(store);
    one_workspace_only(store);
    nothing_is_left_of_it(store, other);
    ancestors_stay(store);
    whole_families_go(store);
    no_more_than_asked_for(store);
    two_at_once(&handles);
    child_that_is_rotated_keeps_its_parent(&handles);
    survives_a_restart(handles);
}

/// When keys are revoked that are to be purged.
fn long_ago() -> Timestamp {
    at(-1_000)
}

/// A purge of what was revoked before `now`, in any workspace.
fn everything(limit: u32) -> Purge {
    Purge::new(now(), limit)
}

#[track_caller]
fn revoke_at<H: Harness>(store: &Handle<'_, H>, record: &Record, time: Timestamp) {
    store
        .revoke(record, Reach::Key, time)
        .expect("a key is revoked");
}

/// A key that is revoked, and may be purged where nothing descends from it.
fn add_revoked<H: Harness>(store: &Handle<'_, H>, record: Record) -> Record {
    let record = store.add(record);
    revoke_at(store, &record, long_ago());
    record
}

fn rotated<H: Harness>(store: &Handle<'_, H>, predecessor: &Record) -> Record {
    let successor = successor_of(predecessor);
    let retire = Retire::At(at(500));
    store
        .rotate(predecessor, retire, &successor, at(-2_000))
        .expect("a key is rotated");
    successor
}

/// Purges until nothing is left to purge, and tells how many that were.
#[track_caller]
fn purge_all<H: Harness>(store: &Handle<'_, H>, purge: &Purge) -> u64 {
    let mut total = 0;
    // The limit is for a store that never says that it is done.
    for _ in 0..1_000 {
        match store.purge(purge) {
            0 => return total,
            count => total += count,
        }
    }
    panic!("a purge never comes to its end");
}

#[track_caller]
fn assert_gone<H: Harness>(store: &Handle<'_, H>, record: &Record, what: &str) {
    assert_eq!(
        store.find(&record.key.id),
        None,
        "a purge has left {what} behind"
    );
}

fn revoked_before_and_no_others<H: Harness>(store: &Handle<'_, H>) {
    let gone = add_revoked(store, record("revoked long ago"));
    let just_before = store.add(record("revoked just before"));
    revoke_at(store, &just_before, at(-1));
    let expired_and_revoked = add_revoked(store, expiring(record("both"), at(-2_000)));

    let at_the_time = store.add(record("revoked at that time"));
    revoke_at(store, &at_the_time, now());
    let after = store.add(record("revoked after"));
    revoke_at(store, &after, at(1));
    let expired = store.add(expiring(record("expired"), at(-5_000)));
    let active = store.add(record("active"));
    let replaced = store.add(record("replaced"));
    let replacing = rotated(store, &replaced);
    let staying = [
        &at_the_time,
        &after,
        &expired,
        &active,
        &replaced,
        &replacing,
    ]
    .map(|record| store.read(&record.key.id));

    let count = purge_all(store, &everything(100));
    assert_gone(store, &gone, "a key that was revoked long before");
    assert_gone(store, &just_before, "a key that was revoked just before");
    assert_gone(
        store,
        &expired_and_revoked,
        "a revoked key that had expired",
    );
    assert_eq!(count, 3, "a purge counts what it has deleted");
    for record in staying {
        assert_eq!(
            store.find(&record.key.id).as_ref(),
            Some(&record),
            "a purge has not left {} as it was",
            record.key.name
        );
    }
    let later = Purge::new(at(2), 100);
    let count = purge_all(store, &later);
    assert_eq!(count, 2, "a later purge takes what an earlier one has left");
}

fn one_workspace_only<H: Harness>(store: &Handle<'_, H>) {
    let own = add_revoked(store, record("own"));
    let foreign = add_revoked(store, record_in("other", "foreign"));
    let similar = add_revoked(store, record_in("ACME", "similar"));
    let purge = everything(100).with_workspace(workspace("acme"));
    let count = purge_all(store, &purge);
    assert_gone(store, &own, "a key of the workspace");
    for record in [&foreign, &similar] {
        assert!(
            store.find(&record.key.id).is_some(),
            "a purge of one workspace has reached into another"
        );
    }
    assert_eq!(count, 1, "a purge of a workspace counts its keys");
    purge_all(store, &everything(100));
    for record in [&foreign, &similar] {
        assert_gone(store, record, "a key of some workspace");
    }
}

fn nothing_is_left_of_it<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let gone = add_revoked(store, record_in("purged", "gone"));
    purge_all(store, &everything(100));
    assert_gone(other, &gone, "a key in another handle");
    let listing = ListKeys::new().with_limit(100);
    let page = other.list(&gone.key.workspace, &listing);
    assert_eq!(page.keys, [], "a list shows a key that was purged");
    assert_eq!(page.total, Some(0), "a total counts a key that was purged");
    let kind = StoreErrorKind::NotFound;
    assert_refused(
        other.revoke(&gone, Reach::Descendants, now()),
        kind,
        "a revocation of a purged key",
    );
    let rename = Rename::new(Some(name("again")), None);
    assert_refused(
        other.rename(&gone, &rename),
        kind,
        "a rename of a purged key",
    );
    other.touch(&[(gone.key.id, now())]);
    assert_gone(other, &gone, "a trace for a touch to find");
}

fn ancestors_stay<H: Harness>(store: &Handle<'_, H>) {
    let root = store.add(record("root"));
    let middle = store.add(child_of(&root));
    let lowest = store.add(child_of(&middle));
    let replaced = store.add(record("replaced"));
    let second = rotated(store, &replaced);
    let third = rotated(store, &second);
    // The two at the ends stay, one active and one revoked too late; what leads to them is revoked.
    let below = store.add(child_of(&third));
    revoke_at(store, &below, at(5));
    let leaf = store.add(child_of(&root));
    for record in [&root, &middle, &replaced, &second, &third, &leaf] {
        revoke_at(store, record, long_ago());
    }
    let staying =
        [&root, &middle, &lowest, &replaced, &second, &third, &below].map(|record| record.key.id);
    let before = staying.map(|id| store.read(&id));

    assert_eq!(
        purge_all(store, &everything(100)),
        1,
        "of a family that lives on, the leaf alone is purged"
    );
    assert_gone(store, &leaf, "a revoked leaf");
    assert_eq!(
        staying.map(|id| store.find(&id)),
        before.map(Some),
        "a purge has taken away what a cascade goes through"
    );
    for record in [&lowest, &below] {
        store.withdraw(record);
    }
    let purge = Purge::new(at(10), 100);
    assert_eq!(
        purge_all(store, &purge),
        staying.len() as u64,
        "a family goes once all of it may"
    );
}

fn whole_families_go<H: Harness>(store: &Handle<'_, H>) {
    const DEPTH: usize = 20;
    let mut family = vec![store.add(record("root"))];
    for depth in 0..DEPTH {
        let next = match family.as_slice() {
            [.., lowest] if depth % 3 == 2 => rotated(store, lowest),
            [.., lowest] => store.add(child_of(lowest)),
            [] => unreachable!(),
        };
        family.push(next);
    }
    for record in &family {
        revoke_at(store, record, long_ago());
    }
    assert_eq!(
        purge_all(store, &everything(100)),
        family.len() as u64,
        "a family of any depth goes"
    );
    for record in &family {
        assert_gone(store, record, "a member of a family that was revoked");
    }
}

fn no_more_than_asked_for<H: Harness>(store: &Handle<'_, H>) {
    let mut left = add_revoked_family(store);
    while !left.is_empty() {
        let count = store.purge(&everything(2));
        assert!(
            (1..=2).contains(&count),
            "a purge of at most 2 records tells of {count}, with {} left",
            left.len()
        );
        let before = left.len();
        left.retain(|record| store.find(&record.key.id).is_some());
        assert_eq!(
            (before - left.len()) as u64,
            count,
            "a purge deletes as many as it tells"
        );
        let ids: Vec<KeyId> = left.iter().map(|record| record.key.id).collect();
        for Record { key, .. } in &left {
            assert!(
                key.parent.is_none_or(|parent| ids.contains(&parent)),
                "between two steps of a purge a key has lost its parent"
            );
        }
    }
    assert_eq!(store.purge(&everything(2)), 0, "nothing is left to purge");
}

/// A root, two children, and two children of each, all revoked.
fn add_revoked_family<H: Harness>(store: &Handle<'_, H>) -> Vec<Record> {
    let root = store.add(record("root"));
    let children = [(); 2].map(|()| store.add(child_of(&root)));
    let mut family = vec![root];
    for child in children {
        let grandchildren = [(); 2].map(|()| store.add(child_of(&child)));
        family.push(child);
        family.extend(grandchildren);
    }
    for record in &family {
        revoke_at(store, record, long_ago());
    }
    family
}

fn two_at_once<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..5 {
        let family = add_revoked_family(store);
        let counts = race(handles, 4, |_, store| purge_all(store, &everything(3)));
        assert_eq!(
            counts.iter().sum::<u64>(),
            family.len() as u64,
            "round {round}: of concurrent purges each record is counted once"
        );
        for record in &family {
            assert_gone(store, record, "a key after concurrent purges");
        }
    }
}

/// The successor comes with its predecessor's parent, which must be there still.
fn child_that_is_rotated_keeps_its_parent<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let parent = store.add(record("parent"));
        let child = store.add(child_of(&parent));
        revoke_at(store, &parent, long_ago());
        let successor = successor_of(&child);
        race(handles, 3, |number, store| {
            if number == 0 {
                store
                    .rotate(&child, Retire::Now, &successor, long_ago())
                    .expect("a child of a revoked key is rotated");
            } else {
                purge_all(store, &everything(100));
            }
        });
        purge_all(store, &everything(100));
        for record in [&parent, &child, &successor] {
            assert!(
                store.find(&record.key.id).is_some(),
                "round {round}: a purge has taken away what a living key descends from"
            );
        }
        revoke_at(store, &child, long_ago());
        store.withdraw(&successor);
        assert_eq!(
            purge_all(store, &Purge::new(at(1), 100)),
            3,
            "round {round}: a rotated child goes with its family"
        );
    }
}

fn survives_a_restart<H: Harness>(handles: [Handle<'_, H>; 3]) {
    let [store, others @ ..] = handles;
    drop(others);
    let gone = add_revoked(&store, record("gone"));
    purge_all(&store, &everything(100));
    assert_gone(&store.reopened(), &gone, "a key, after a restart");
}
