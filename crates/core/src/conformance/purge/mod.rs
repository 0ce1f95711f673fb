//! Clause 16: a purge deletes keys that were revoked or expired before a given time, and nothing
//! else.

mod expired;

use super::{
    fixture::{
        assert_rejected, at, child_of, disabled, expiring, now, owned, received_by, record,
        record_in, successor_of, workspace,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    KeyId, ListKeys, Owner, Reach, Timestamp,
    store::{Purge, Record, Retire, StoreErrorKind},
};

/// Tests clause 16, purge.
pub fn purge(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    assert_eq!(
        store.purge(&purge_before_now(100)),
        0,
        "purged records from an empty store"
    );
    purge_deletes_only_keys_revoked_before_the_time(store);
    purge_of_one_workspace_leaves_the_others(store);
    purged_key_leaves_no_trace(store, other);
    purge_keeps_keys_with_descendants(store);
    purge_keeps_keys_that_received_others(store);
    purge_deletes_a_whole_family(store);
    purge_deletes_an_entangled_lineage(store);
    purge_deletes_no_more_than_the_limit(store);
    concurrent_purges_count_each_record_once(&handles);
    purge_during_a_rotation_keeps_the_parent(&handles);
    purge_during_a_rotation_keeps_the_caller(&handles);
    expired::expired(&handles);
    purge_is_durable(handles);
}

/// Returns the time at which the tests revoke keys to be purged.
fn long_ago() -> Timestamp {
    at(-1_000)
}

/// Creates a purge of keys revoked before `NOW`, in any workspace.
fn purge_before_now(limit: u32) -> Purge {
    Purge::new(limit).with_revoked_before(now())
}

#[track_caller]
fn revoke_at<H: Harness>(store: &Handle<'_, H>, record: &Record, time: Timestamp) {
    store
        .revoke(record, Reach::Key, time)
        .expect("the store failed to revoke a key");
}

/// Inserts a record, and revokes the key long before `NOW`.
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
        .expect("the store failed to rotate a key");
    successor
}

/// Rotates a key on behalf of `caller`, which receives the successor's secret.
fn rotated_by<H: Harness>(store: &Handle<'_, H>, caller: &Record, predecessor: &Record) -> Record {
    let successor = received_by(caller, predecessor);
    store
        .rotate(predecessor, Retire::At(at(500)), &successor, at(-2_000))
        .expect("the store failed to rotate a key on behalf of another");
    successor
}

/// Purges until nothing is left to purge, and returns the number of deleted records.
#[track_caller]
fn purge_all<H: Harness>(store: &Handle<'_, H>, purge: &Purge) -> u64 {
    let mut total = 0;
    // The limit ends the loop if the store never returns 0.
    for _ in 0..1_000 {
        match store.purge(purge) {
            0 => return total,
            count => total += count,
        }
    }
    panic!("repeated purges never finish");
}

#[track_caller]
fn assert_gone<H: Harness>(store: &Handle<'_, H>, record: &Record, purged: &str) {
    assert_eq!(
        store.find(&record.key.id),
        None,
        "a purge did not delete {purged}"
    );
}

fn purge_deletes_only_keys_revoked_before_the_time<H: Harness>(store: &Handle<'_, H>) {
    let revoked = add_revoked(store, record("revoked long ago"));
    let just_before = store.add(record("revoked just before"));
    revoke_at(store, &just_before, at(-1));
    let expired_and_revoked = add_revoked(store, expiring(record("both"), at(-2_000)));

    let at_the_time = store.add(record("revoked at that time"));
    revoke_at(store, &at_the_time, now());
    let after = store.add(record("revoked after"));
    revoke_at(store, &after, at(1));
    let expired = store.add(expiring(record("expired"), at(-5_000)));
    let paused = store.add(disabled(record("disabled")));
    let active = store.add(record("active"));
    let replaced = store.add(record("replaced"));
    let replacing = rotated(store, &replaced);
    let staying = [
        &at_the_time,
        &after,
        &expired,
        &paused,
        &active,
        &replaced,
        &replacing,
    ]
    .map(|record| store.read(&record.key.id));

    let count = purge_all(store, &purge_before_now(100));
    assert_gone(
        store,
        &revoked,
        "a key that was revoked long before the time",
    );
    assert_gone(
        store,
        &just_before,
        "a key that was revoked just before the time",
    );
    assert_gone(
        store,
        &expired_and_revoked,
        "a revoked key that had expired",
    );
    assert_eq!(count, 3, "a purge returned the wrong count");
    for record in staying {
        assert_eq!(
            store.find(&record.key.id).as_ref(),
            Some(&record),
            "a purge changed or deleted the key named `{}`",
            record.key.name
        );
    }
    let later = Purge::new(100).with_revoked_before(at(2));
    let count = purge_all(store, &later);
    assert_eq!(
        count, 2,
        "a purge before a later time returned the wrong count"
    );
}

fn purge_of_one_workspace_leaves_the_others<H: Harness>(store: &Handle<'_, H>) {
    let own = add_revoked(store, record("own"));
    let foreign = add_revoked(store, record_in("other", "foreign"));
    let similar = add_revoked(store, record_in("ACME", "similar"));
    let purge = purge_before_now(100).with_workspace(workspace("acme"));
    let count = purge_all(store, &purge);
    assert_gone(store, &own, "a key of the given workspace");
    for record in [&foreign, &similar] {
        assert!(
            store.find(&record.key.id).is_some(),
            "a purge of one workspace deleted a key of another"
        );
    }
    assert_eq!(
        count, 1,
        "a purge of one workspace returned the wrong count"
    );
    purge_all(store, &purge_before_now(100));
    for record in [&foreign, &similar] {
        assert_gone(store, record, "a key of another workspace");
    }
}

fn purged_key_leaves_no_trace<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let owner = "user:1";
    let revoked = add_revoked(store, owned(record_in("purged", "revoked"), owner));
    purge_all(store, &purge_before_now(100));
    assert_gone(other, &revoked, "a key that another handle reads");
    let of_the_owner = ListKeys::new().with_owner(Owner::parse(owner).unwrap());
    for listing in [ListKeys::new(), of_the_owner] {
        let page = other.list(&revoked.key.workspace, &listing);
        assert_eq!(page.keys, [], "listed a purged key");
        assert_eq!(page.total, Some(0), "counted a purged key in the total");
    }
    let kind = StoreErrorKind::NotFound;
    assert_rejected(
        other.revoke(&revoked, Reach::Descendants, now()),
        kind,
        "a revocation of a purged key",
    );
    assert_rejected(
        other.rename(&revoked, "again"),
        kind,
        "a rename of a purged key",
    );
    other.touch(&[(revoked.key.id, now())]);
    assert_gone(other, &revoked, "a key that was touched afterwards");
}

fn purge_keeps_keys_with_descendants<H: Harness>(store: &Handle<'_, H>) {
    let root = store.add(record("root"));
    let middle = store.add(child_of(&root));
    let lowest = store.add(child_of(&middle));
    let replaced = store.add(record("replaced"));
    let second = rotated(store, &replaced);
    let third = rotated(store, &second);
    // Two keys have to stay: `lowest` is active, and `below` was revoked too late. Their ancestors
    // and predecessors are revoked.
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
        purge_all(store, &purge_before_now(100)),
        1,
        "did not purge exactly the leaf of a family with an active key"
    );
    assert_gone(store, &leaf, "a revoked leaf");
    assert_eq!(
        staying.map(|id| store.find(&id)),
        before.map(Some),
        "a purge deleted a key from which a remaining key descends"
    );
    for record in [&lowest, &below] {
        store.revoke_key(record);
    }
    let purge = Purge::new(100).with_revoked_before(at(10));
    assert_eq!(
        purge_all(store, &purge),
        staying.len() as u64,
        "did not purge a family whose keys were all revoked in time"
    );
}

fn purge_keeps_keys_that_received_others<H: Harness>(store: &Handle<'_, H>) {
    let rotator = store.add(record("rotator"));
    let child = store.add(child_of(&rotator));
    let rotated = store.add(record("rotated"));
    let received = rotated_by(store, &child, &rotated);
    for record in [&rotator, &child] {
        revoke_at(store, record, long_ago());
    }
    let staying = [&rotator, &child, &rotated, &received].map(|record| record.key.id);
    let before = staying.map(|id| store.read(&id));
    assert_eq!(
        purge_all(store, &purge_before_now(100)),
        0,
        "purged a key that received another by rotation"
    );
    assert_eq!(
        staying.map(|id| store.find(&id)),
        before.map(Some),
        "a purge deleted a key from which a remaining key descends by rotation"
    );
    revoke_at(store, &received, long_ago());
    assert_eq!(
        purge_all(store, &purge_before_now(100)),
        3,
        "did not purge a key together with those that it received"
    );
    revoke_at(store, &rotated, long_ago());
    assert_eq!(
        purge_all(store, &purge_before_now(100)),
        1,
        "did not purge a rotated key without its successor"
    );
}

/// Children rotate their parents, and each successor rotates the child.
fn purge_deletes_an_entangled_lineage<H: Harness>(store: &Handle<'_, H>) {
    const ROUNDS: usize = 6;
    let root = store.add(record("root"));
    let mut child = store.add(child_of(&root));
    let mut parent = root.clone();
    let mut lineage = vec![root, child.clone()];
    for _ in 0..ROUNDS {
        parent = rotated_by(store, &child, &parent);
        child = rotated_by(store, &parent, &child);
        lineage.extend([parent.clone(), child.clone()]);
    }
    // A key may also rotate itself.
    lineage.push(rotated_by(store, &child, &child));
    for record in &lineage {
        revoke_at(store, record, long_ago());
    }
    assert_eq!(
        purge_all(store, &purge_before_now(100)),
        lineage.len() as u64,
        "did not purge each key of an entangled lineage once"
    );
}

fn purge_deletes_a_whole_family<H: Harness>(store: &Handle<'_, H>) {
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
        purge_all(store, &purge_before_now(100)),
        family.len() as u64,
        "did not purge a revoked family of 21 generations"
    );
    for record in &family {
        assert_gone(store, record, "a key of a revoked family");
    }
}

fn purge_deletes_no_more_than_the_limit<H: Harness>(store: &Handle<'_, H>) {
    let mut left = add_revoked_family(store);
    while !left.is_empty() {
        let count = store.purge(&purge_before_now(2));
        assert!(
            (1..=2).contains(&count),
            "a purge of at most 2 records returned the count {count}, with {} left",
            left.len()
        );
        let before = left.len();
        left.retain(|record| store.find(&record.key.id).is_some());
        assert_eq!(
            (before - left.len()) as u64,
            count,
            "a purge did not delete as many records as it counted"
        );
        let ids: Vec<KeyId> = left.iter().map(|record| record.key.id).collect();
        for Record { key, .. } in &left {
            assert!(
                key.parent.is_none_or(|parent| ids.contains(&parent)),
                "a purge deleted a parent before its child"
            );
        }
    }
    assert_eq!(
        store.purge(&purge_before_now(2)),
        0,
        "a purge counted records, but none are left"
    );
}

/// Inserts a root, two children, and two children of each, and revokes all of them.
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

fn concurrent_purges_count_each_record_once<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..5 {
        let family = add_revoked_family(store);
        let counts = race(handles, 4, |_, store| {
            purge_all(store, &purge_before_now(3))
        });
        assert_eq!(
            counts.iter().sum::<u64>(),
            family.len() as u64,
            "round {round}: concurrent purges did not count each record once"
        );
        for record in &family {
            assert_gone(store, record, "a key during concurrent purges");
        }
    }
}

/// A successor has the parent of its predecessor. A concurrent purge must not delete that parent.
fn purge_during_a_rotation_keeps_the_parent<H: Harness>(handles: &[Handle<'_, H>]) {
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
                    .expect("the store failed to rotate a child of a revoked key");
            } else {
                purge_all(store, &purge_before_now(100));
            }
        });
        purge_all(store, &purge_before_now(100));
        for record in [&parent, &child, &successor] {
            assert!(
                store.find(&record.key.id).is_some(),
                "round {round}: a purge deleted a key from which an active key descends"
            );
        }
        revoke_at(store, &child, long_ago());
        store.revoke_key(&successor);
        assert_eq!(
            purge_all(store, &Purge::new(100).with_revoked_before(at(1))),
            3,
            "round {round}: did not purge a rotated child with its family"
        );
    }
}

/// A concurrent purge must not delete the key that receives the successor.
fn purge_during_a_rotation_keeps_the_caller<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let caller = store.add(record("caller"));
        let predecessor = store.add(record("rotated"));
        let successor = received_by(&caller, &predecessor);
        let results = race(handles, 3, |number, store| {
            if number == 0 {
                let retire = Retire::At(at(500));
                return store.rotate(&predecessor, retire, &successor, long_ago());
            }
            if number == 1 {
                revoke_at(store, &caller, long_ago());
            }
            purge_all(store, &purge_before_now(100));
            Ok(())
        });
        let succeeded = results.iter().all(Result::is_ok);
        for result in results.into_iter().filter(Result::is_err) {
            let call = "a rotation by a key that is revoked and purged";
            assert_rejected(result, StoreErrorKind::Conflict, call);
        }
        purge_all(store, &purge_before_now(100));
        assert_eq!(
            store.find(&caller.key.id).is_some(),
            succeeded,
            "round {round}: a purge deleted a key from which an active key descends, or kept another"
        );
        assert_eq!(
            store.find(&successor.key.id).is_some(),
            succeeded,
            "round {round}: a rejected rotation stored its successor, or a purge deleted it"
        );
        revoke_at(store, &predecessor, long_ago());
        if succeeded {
            revoke_at(store, &successor, long_ago());
        }
        purge_all(store, &purge_before_now(100));
    }
}

fn purge_is_durable<H: Harness>(handles: [Handle<'_, H>; 3]) {
    let [store, others @ ..] = handles;
    drop(others);
    let revoked = add_revoked(&store, record("revoked"));
    purge_all(&store, &purge_before_now(100));
    assert_gone(&store.reopened(), &revoked, "a key before a restart");
}
