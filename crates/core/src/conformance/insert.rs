//! Clause 1: a record is inserted once, and only under an active parent.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, credential, expiring, moved_to, name, now, record, record_in,
        unused_id, workspace,
    },
    handle::{Handle, race},
};
use crate::{Environment, KeyId, Permissions, Reach, Record, StoreErrorKind, Timestamp};

/// Clause 1, atomic insert.
pub fn atomic_insert(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, ..] = &handles;
    no_upsert(store);
    ids_differ_in_case(store);
    parent_must_be_active(store);
    parent_is_active_until_it_expires(store);
    child_ends_with_its_parent(store);
    one_of_many_wins(&handles);
    child_is_refused_or_revoked(&handles);
}

fn no_upsert<H: Harness>(store: &Handle<'_, H>) {
    let old = store.add(record("first"));
    let mut new = old.clone();
    new.key.name = name("second");
    new.key.environment = Environment::Test;
    new.key.permissions = Permissions::all();
    new.key.expires_at = Some(at(1));
    new.credential = credential(7);
    for upsert in [&old, &new, &moved_to("other", &new)] {
        let answer = store.insert(upsert, now());
        assert_refused(
            answer,
            StoreErrorKind::AlreadyExists,
            "an insert of an id that exists",
        );
        assert_eq!(
            store.read(&old.key.id),
            old,
            "a refused insert has changed the old record"
        );
    }

    store.withdraw(&old);
    let revoked = store.read(&old.key.id);
    let answer = store.insert(&new, now());
    assert_refused(
        answer,
        StoreErrorKind::AlreadyExists,
        "an insert of the id of a revoked key",
    );
    assert_eq!(
        store.read(&old.key.id),
        revoked,
        "a refused insert has changed a revoked record"
    );
}

fn ids_differ_in_case<H: Harness>(store: &Handle<'_, H>) {
    let [mut upper, mut lower] = [record("upper case"), record("lower case")];
    upper.key.id = KeyId::from_bytes(b"0U5lKtf6ABCDEFGH").unwrap();
    lower.key.id = KeyId::from_bytes(b"0U5lKtf6abcdefgh").unwrap();
    let [upper, lower] = [store.add(upper), store.add(lower)];
    assert_eq!(
        store.read(&upper.key.id),
        upper,
        "ids that differ in case are one to the store"
    );
    assert_eq!(
        store.read(&lower.key.id),
        lower,
        "ids that differ in case are one to the store"
    );
}

fn refuse_child_of<H: Harness>(
    store: &Handle<'_, H>,
    parent: &Record,
    now: Timestamp,
    state: &str,
) {
    let mut child = child_of(parent);
    child.key.workspace = workspace("acme");
    assert_refused(store.insert(&child, now), StoreErrorKind::Conflict, state);
    assert_eq!(
        store.find(&child.key.id),
        None,
        "{state}: refused, but stored"
    );
    // What was refused has left nothing behind that would be in the way.
    child.key.parent = None;
    store.add(child);
}

fn parent_must_be_active<H: Harness>(store: &Handle<'_, H>) {
    refuse_child_of(
        store,
        &record("never inserted"),
        now(),
        "a parent that is unknown",
    );

    let foreign = store.add(record_in("other", "foreign"));
    refuse_child_of(store, &foreign, now(), "a parent in another workspace");

    let revoked = store.add(record("revoked"));
    store.withdraw(&revoked);
    refuse_child_of(store, &revoked, now(), "a parent that is revoked");

    let mut own = record("its own parent");
    own.key.parent = Some(own.key.id);
    assert_refused(
        store.insert(&own, now()),
        StoreErrorKind::Conflict,
        "a key as its own parent",
    );
    assert_eq!(
        store.find(&own.key.id),
        None,
        "a key that names itself as its parent is stored"
    );

    let parent = store.add(record("active"));
    let child = store.add(child_of(&parent));
    assert_eq!(
        store.read(&child.key.id),
        child,
        "a child is not stored as it was given"
    );
    assert_eq!(
        store.read(&parent.key.id),
        parent,
        "an insert of a child has changed its parent"
    );
    store.add(child_of(&child));
}

fn parent_is_active_until_it_expires<H: Harness>(store: &Handle<'_, H>) {
    // The second one is active by every wall clock.
    for end in [
        at(1_000),
        Timestamp::from_millis(16_725_225_600_000).unwrap(),
    ] {
        let parent = store.add(expiring(record("expiring"), end));
        let just_before = Timestamp::from_millis(end.as_millis() - 1).unwrap();
        let in_time = store.insert(&child_of(&parent), just_before);
        assert!(
            in_time.is_ok(),
            "a parent in its last millisecond is active, but: {in_time:?}"
        );
        refuse_child_of(store, &parent, end, "a parent that expires at this moment");
        refuse_child_of(
            store,
            &parent,
            Timestamp::MAX,
            "a parent that expired long ago",
        );
    }
}

fn child_ends_with_its_parent<H: Harness>(store: &Handle<'_, H>) {
    let parent = store.add(expiring(record("ends"), at(1_000)));
    for (end, admitted) in [
        (Some(at(999)), true),
        (Some(at(1_000)), true),
        (Some(at(1_001)), false),
        (Some(Timestamp::MAX), false),
        (None, false),
    ] {
        let mut child = child_of(&parent);
        child.key.expires_at = end;
        let answer = store.insert(&child, now());
        if admitted {
            assert!(
                answer.is_ok(),
                "a child may end with its parent: {answer:?}"
            );
            assert_eq!(store.read(&child.key.id), child);
        } else {
            let what = "a child that ends after its parent";
            assert_refused(answer, StoreErrorKind::Conflict, what);
            assert_eq!(
                store.find(&child.key.id),
                None,
                "{what}: refused, but stored"
            );
        }
    }
    let eternal = store.add(record("has no end"));
    store.add(expiring(child_of(&eternal), Timestamp::MAX));
    let last = store.add(expiring(record("ends last"), Timestamp::MAX));
    let mut child = child_of(&last);
    child.key.expires_at = None;
    assert_refused(
        store.insert(&child, now()),
        StoreErrorKind::Conflict,
        "a child without an end, of a parent that has the last one",
    );
}

fn one_of_many_wins<H: Harness>(handles: &[Handle<'_, H>]) {
    for round in 0..10 {
        let id = unused_id();
        let answers = race(handles, 8, |thread, store| {
            let mut own = record(&format!("by thread {thread}"));
            own.key.id = id;
            let answer = store.insert(&own, now());
            (own, answer)
        });
        let mut winners = Vec::new();
        for (record, answer) in answers {
            match answer {
                Ok(()) => winners.push(record),
                refused => {
                    assert_refused(refused, StoreErrorKind::AlreadyExists, "all but one insert");
                }
            }
        }
        assert_eq!(
            winners.len(),
            1,
            "round {round}: of concurrent inserts of one id one wins"
        );
        let [store, ..] = handles else { unreachable!() };
        assert_eq!(
            store.read(&id),
            winners[0],
            "what is stored is not the winner's record"
        );
    }
}

fn child_is_refused_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..20 {
        let parent = store.add(record("parent"));
        let children = race(handles, 3, |thread, store| {
            if thread == 0 {
                store
                    .revoke(&parent, Reach::Descendants, now())
                    .expect("a parent is revoked");
                return None;
            }
            let child = child_of(&parent);
            Some((child.key.id, store.insert(&child, now())))
        });
        for (id, answer) in children.into_iter().flatten() {
            let stored = store.find(&id);
            if answer.is_ok() {
                assert!(
                    stored.is_some_and(|child| child.key.revoked_at.is_some()),
                    "round {round}: a child was admitted while its parent was being revoked, and lives",
                );
            } else {
                assert_refused(
                    answer,
                    StoreErrorKind::Conflict,
                    "a child of a revoked parent",
                );
                assert_eq!(
                    stored, None,
                    "round {round}: a child was refused, but stored"
                );
            }
        }
    }
}
