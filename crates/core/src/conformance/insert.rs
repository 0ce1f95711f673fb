//! Clause 1: an insert never replaces a record, and a parent must be active.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, disabled, expiring, moved_to, name, now, record,
        record_in, unused_id, workspace,
    },
    handle::{Handle, race},
    harness::Harness,
};
#[cfg(doc)]
use crate::Key;
use crate::{
    Environment, KeyId, Permissions, Reach, Timestamp,
    store::{Record, StoreErrorKind},
};

/// Tests clause 1, atomic insert.
pub fn atomic_insert(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, ..] = &handles;
    no_upsert(store);
    ids_are_case_sensitive(store);
    parent_must_be_active(store);
    parent_must_be_enabled(&handles);
    parent_is_active_until_it_expires(store);
    child_expires_no_later_than_its_parent(store);
    parents_admit_only_what_they_cover(store);
    parents_in_all_states_are_admitted_by_the_rule(store);
    one_concurrent_insert_succeeds(&handles);
    concurrent_child_is_rejected_or_revoked(&handles);
    child_inserted_after_a_pause_is_rejected(&handles);
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
        let result = store.insert(upsert, now());
        assert_rejected(
            result,
            StoreErrorKind::AlreadyExists,
            "an insert of an existing id",
        );
        assert_eq!(
            store.read(&old.key.id),
            old,
            "a rejected insert changed the stored record"
        );
    }

    store.revoke_key(&old);
    let revoked = store.read(&old.key.id);
    let result = store.insert(&new, now());
    assert_rejected(
        result,
        StoreErrorKind::AlreadyExists,
        "an insert of a revoked key's id",
    );
    assert_eq!(
        store.read(&old.key.id),
        revoked,
        "a rejected insert changed a revoked record"
    );
}

fn ids_are_case_sensitive<H: Harness>(store: &Handle<'_, H>) {
    let [mut upper, mut lower] = [record("upper case"), record("lower case")];
    upper.key.id = KeyId::from_bytes(b"0U5lKtf6ABCDEFGH").unwrap();
    lower.key.id = KeyId::from_bytes(b"0U5lKtf6abcdefgh").unwrap();
    let [upper, lower] = [store.add(upper), store.add(lower)];
    assert_eq!(
        store.read(&upper.key.id),
        upper,
        "confused ids that differ only in case"
    );
    assert_eq!(
        store.read(&lower.key.id),
        lower,
        "confused ids that differ only in case"
    );
}

fn assert_child_is_rejected<H: Harness>(
    store: &Handle<'_, H>,
    parent: &Record,
    now: Timestamp,
    parent_state: &str,
) {
    let mut child = child_of(parent);
    child.key.workspace = workspace("acme");
    assert_rejected(
        store.insert(&child, now),
        StoreErrorKind::Conflict,
        parent_state,
    );
    assert_eq!(
        store.find(&child.key.id),
        None,
        "{parent_state}: stored a rejected child"
    );
    // A rejected insert leaves nothing behind that prevents a later insert of the same id.
    child.key.parent = None;
    store.add(child);
}

fn parent_must_be_active<H: Harness>(store: &Handle<'_, H>) {
    assert_child_is_rejected(
        store,
        &record("never inserted"),
        now(),
        "a child of an unknown parent",
    );

    let foreign = store.add(record_in("other", "foreign"));
    assert_child_is_rejected(
        store,
        &foreign,
        now(),
        "a child of a parent in another workspace",
    );

    let revoked = store.add(record("revoked"));
    store.revoke_key(&revoked);
    assert_child_is_rejected(store, &revoked, now(), "a child of a revoked parent");

    let mut recursive = record("its own parent");
    recursive.key.parent = Some(recursive.key.id);
    assert_rejected(
        store.insert(&recursive, now()),
        StoreErrorKind::Conflict,
        "an insert of a key that is its own parent",
    );
    assert_eq!(
        store.find(&recursive.key.id),
        None,
        "stored a key that is its own parent"
    );

    let parent = store.add(record("active"));
    let child = store.add(child_of(&parent));
    assert_eq!(
        store.read(&child.key.id),
        child,
        "stored a child with changes"
    );
    assert_eq!(
        store.read(&parent.key.id),
        parent,
        "an insert of a child changed its parent"
    );
    store.add(child_of(&child));
}

fn parent_must_be_enabled<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, other, _] = handles else {
        unreachable!()
    };
    let inserted = store.add(disabled(record("disabled")));
    assert_child_is_rejected(store, &inserted, now(), "a child of a disabled parent");

    let mut parent = store.add(record("paused and resumed"));
    for _ in 0..3 {
        store.add(child_of(&parent));
        parent = other.change(&parent, |key| key.enabled = false);
        assert_child_is_rejected(
            store,
            &parent,
            now(),
            "a child of a parent that another handle has paused",
        );
        parent = other.change(&parent, |key| key.enabled = true);
    }
    store.add(child_of(&parent));
}

/// Compares the store with [`Key::admits`] for parents in all states.
fn parents_in_all_states_are_admitted_by_the_rule<H: Harness>(store: &Handle<'_, H>) {
    let ends = [None, Some(at(-1)), Some(at(0)), Some(at(1)), Some(at(2))];
    for (enabled, revoked) in [(true, false), (false, false), (true, true), (false, true)] {
        for parent_end in ends {
            let mut parent = record("parent");
            parent.key.enabled = enabled;
            parent.key.expires_at = parent_end;
            let parent = store.add(parent);
            if revoked {
                store.revoke_key(&parent);
            }
            let parent = store.read(&parent.key.id);
            for end in ends {
                let mut child = child_of(&parent);
                child.key.expires_at = end;
                let result = store.insert(&child, now());
                let parent = &parent.key;
                if parent.admits(&child.key, now()) {
                    assert!(
                        result.is_ok(),
                        "rejected a child that expires at {end:?} of the parent {parent:?}: {result:?}"
                    );
                } else {
                    let call = format!("a child that expires at {end:?} of the parent {parent:?}");
                    assert_rejected(result, StoreErrorKind::Conflict, &call);
                }
            }
        }
    }
}

/// A child has no permission and no address that its parent lacks. The parent may have been
/// narrowed since the caller checked it.
fn parents_admit_only_what_they_cover<H: Harness>(store: &Handle<'_, H>) {
    let permissions = ["calls:*", "calls:read", "calls:read,calls:write", ""];
    let addresses = [
        None,
        Some("192.0.2.0/24"),
        Some("192.0.2.7"),
        Some("198.51.100.0/24"),
    ];
    let mut admitted = 0;
    for of_parent in permissions {
        for from_parent in addresses {
            let mut parent = record("parent");
            parent.key.permissions = of_parent.parse().unwrap();
            parent.key.allowed_ips = from_parent.map(|text| text.parse().unwrap());
            let parent = store.add(parent);
            for of_child in permissions {
                for from_child in addresses {
                    let mut child = child_of(&parent);
                    child.key.permissions = of_child.parse().unwrap();
                    child.key.allowed_ips = from_child.map(|text| text.parse().unwrap());
                    let result = store.insert(&child, now());
                    if parent.key.admits(&child.key, now()) {
                        admitted += 1;
                        assert!(
                            result.is_ok(),
                            "rejected {child:?} of {parent:?}: {result:?}"
                        );
                    } else {
                        let call = format!("{child:?} of {parent:?}");
                        assert_rejected(result, StoreErrorKind::Conflict, &call);
                    }
                }
            }
        }
    }
    assert_eq!(admitted, 10 * 8, "`Key::admits` has another rule");
}

fn parent_is_active_until_it_expires<H: Harness>(store: &Handle<'_, H>) {
    // By any wall clock, the second parent is still active.
    for end in [
        at(1_000),
        Timestamp::from_millis(16_725_225_600_000).unwrap(),
    ] {
        let parent = store.add(expiring(record("expiring"), end));
        let just_before = Timestamp::from_millis(end.as_millis() - 1).unwrap();
        let result = store.insert(&child_of(&parent), just_before);
        assert!(
            result.is_ok(),
            "rejected a child in the last millisecond of its parent: {result:?}"
        );
        assert_child_is_rejected(
            store,
            &parent,
            end,
            "a child of a parent that expires at this moment",
        );
        assert_child_is_rejected(
            store,
            &parent,
            Timestamp::MAX,
            "a child of a parent that expired long ago",
        );
    }
}

fn child_expires_no_later_than_its_parent<H: Harness>(store: &Handle<'_, H>) {
    let parent = store.add(expiring(record("expires"), at(1_000)));
    for (end, admitted) in [
        (Some(at(999)), true),
        (Some(at(1_000)), true),
        (Some(at(1_001)), false),
        (Some(Timestamp::MAX), false),
        (None, false),
    ] {
        let mut child = child_of(&parent);
        child.key.expires_at = end;
        let result = store.insert(&child, now());
        if admitted {
            assert!(
                result.is_ok(),
                "rejected a child that expires no later than its parent: {result:?}"
            );
            assert_eq!(
                store.read(&child.key.id),
                child,
                "stored a child with changes"
            );
        } else {
            let call = "an insert of a child that expires after its parent";
            assert_rejected(result, StoreErrorKind::Conflict, call);
            assert_eq!(
                store.find(&child.key.id),
                None,
                "{call}: stored a rejected child"
            );
        }
    }
    let permanent = store.add(record("never expires"));
    store.add(expiring(child_of(&permanent), Timestamp::MAX));
    let last = store.add(expiring(record("expires last"), Timestamp::MAX));
    let mut child = child_of(&last);
    child.key.expires_at = None;
    assert_rejected(
        store.insert(&child, now()),
        StoreErrorKind::Conflict,
        "an insert of a child that never expires, of a parent that expires last",
    );
}

fn one_concurrent_insert_succeeds<H: Harness>(handles: &[Handle<'_, H>]) {
    for round in 0..10 {
        let id = unused_id();
        let results = race(handles, 8, |thread, store| {
            let mut attempt = record(&format!("by thread {thread}"));
            attempt.key.id = id;
            let result = store.insert(&attempt, now());
            (attempt, result)
        });
        let mut winners = Vec::new();
        for (record, result) in results {
            match result {
                Ok(()) => winners.push(record),
                rejected => {
                    assert_rejected(
                        rejected,
                        StoreErrorKind::AlreadyExists,
                        "a concurrent insert of the same id",
                    );
                }
            }
        }
        assert_eq!(
            winners.len(),
            1,
            "round {round}: not exactly one of several concurrent inserts of an id succeeded"
        );
        let [store, ..] = handles else { unreachable!() };
        assert_eq!(
            store.read(&id),
            winners[0],
            "round {round}: stored a record other than the one that it acknowledged"
        );
    }
}

fn concurrent_child_is_rejected_or_revoked<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..20 {
        let parent = store.add(record("parent"));
        let children = race(handles, 3, |thread, store| {
            if thread == 0 {
                store
                    .revoke(&parent, Reach::Descendants, now())
                    .expect("the store failed to revoke a parent");
                return None;
            }
            let child = child_of(&parent);
            Some((child.key.id, store.insert(&child, now())))
        });
        for (id, result) in children.into_iter().flatten() {
            let stored = store.find(&id);
            if result.is_ok() {
                assert!(
                    stored.is_some_and(|child| child.key.revoked_at.is_some()),
                    "round {round}: a child that was inserted during a cascade is active",
                );
            } else {
                assert_rejected(
                    result,
                    StoreErrorKind::Conflict,
                    "an insert of a child of a revoked parent",
                );
                assert_eq!(stored, None, "round {round}: stored a rejected child");
            }
        }
    }
}

fn child_inserted_after_a_pause_is_rejected<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let parent = store.add(record("paused meanwhile"));
        let paused = AtomicBool::new(false);
        race(handles, 3, |thread, store| {
            if thread == 0 {
                store.change(&parent, |key| key.enabled = false);
                paused.store(true, Ordering::SeqCst);
                return;
            }
            // The limit ends the loop if the update panics.
            for _ in 0..10_000 {
                let late = paused.load(Ordering::SeqCst);
                let child = child_of(&parent);
                match store.insert(&child, now()) {
                    Ok(()) => assert!(
                        !late,
                        "round {round}: inserted a child after its parent was paused"
                    ),
                    rejected => {
                        let call = "an insert of a child of a paused parent";
                        assert_rejected(rejected, StoreErrorKind::Conflict, call);
                        break;
                    }
                }
            }
        });
    }
}
