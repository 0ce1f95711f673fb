//! A purge of keys that expired before a given time.

use super::{assert_gone, long_ago, purge_all, revoke_at, rotated, rotated_by};
use crate::{
    Timestamp,
    conformance::{
        fixture::{assert_rejected, at, child_of, disabled, expiring, now, record_in, workspace},
        handle::{Handle, race},
        harness::Harness,
    },
    store::{Purge, Record, StoreErrorKind},
};

/// Tests purges by expiry, alone and together with revocations.
pub(super) fn expired<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, other, _] = handles else {
        unreachable!()
    };
    purge_without_a_time_deletes_nothing(store);
    purge_deletes_only_keys_expired_before_the_time(store);
    purge_with_two_times_deletes_the_keys_of_both(store);
    purge_by_expiry_of_one_workspace_leaves_the_others(store);
    purge_follows_updates_of_the_expiry(store, other);
    purge_keeps_expired_keys_with_descendants(store);
    purge_by_expiry_deletes_no_more_than_the_limit(store);
    purge_during_an_update_keeps_the_updated_key(handles);
}

/// Creates a purge of keys of the workspace `tenant` that expired before `NOW`.
fn expired_before_now(tenant: &str) -> Purge {
    Purge::new(100)
        .with_expired_before(now())
        .with_workspace(workspace(tenant))
}

/// Adds a purge of keys that were revoked before `NOW`.
fn and_revoked(purge: Purge) -> Purge {
    purge.with_revoked_before(now())
}

#[track_caller]
fn assert_kept<H: Harness>(store: &Handle<'_, H>, record: &Record, purge: &str) {
    assert_eq!(
        store.find(&record.key.id).as_ref(),
        Some(record),
        "{purge} changed or deleted the key named `{}`",
        record.key.name
    );
}

fn purge_without_a_time_deletes_nothing<H: Harness>(store: &Handle<'_, H>) {
    let revoked = store.add(record_in("purge/none", "revoked"));
    revoke_at(store, &revoked, Timestamp::from_millis(0).unwrap());
    let end = Timestamp::from_millis(0).unwrap();
    let expired = store.add(expiring(record_in("purge/none", "expired"), end));
    let both = store.add(expiring(record_in("purge/none", "both"), end));
    revoke_at(store, &both, end);
    assert_eq!(
        store.purge(&Purge::new(100)),
        0,
        "a purge without a time deleted records"
    );
    for record in [&revoked, &expired, &both] {
        assert!(
            store.find(&record.key.id).is_some(),
            "a purge without a time deleted the key named `{}`",
            record.key.name
        );
    }
    let all = and_revoked(expired_before_now("purge/none"));
    assert_eq!(
        purge_all(store, &all),
        3,
        "a purge with both times did not delete keys that ended in 1970"
    );
}

fn purge_deletes_only_keys_expired_before_the_time<H: Harness>(store: &Handle<'_, H>) {
    let tenant = "purge/expired";
    let add = |text, end| store.add(expiring(record_in(tenant, text), end));
    let long_expired = add("expired long ago", long_ago());
    let just_before = add("expired just before", at(-1));
    let paused = store.add(disabled(expiring(
        record_in(tenant, "expired and disabled"),
        at(-1),
    )));
    let revoked_later = add("expired and revoked later", at(-1));
    revoke_at(store, &revoked_later, at(5));
    let revoked_before = add("expired and revoked before", at(-1));
    revoke_at(store, &revoked_before, long_ago());

    let revoked = store.add(record_in(tenant, "revoked"));
    revoke_at(store, &revoked, long_ago());
    let revoked_early = add("revoked before its expiry", at(1));
    revoke_at(store, &revoked_early, long_ago());
    let staying = [
        add("expires at that time", now()),
        add("expires after", at(1)),
        add("expires last", Timestamp::MAX),
        store.add(record_in(tenant, "active")),
        store.add(disabled(record_in(tenant, "disabled"))),
        store.add(disabled(expiring(
            record_in(tenant, "disabled and expires"),
            at(1),
        ))),
        store.read(&revoked.key.id),
        store.read(&revoked_early.key.id),
    ];

    let count = purge_all(store, &expired_before_now(tenant));
    for (record, purged) in [
        (&long_expired, "a key that expired long before the time"),
        (&just_before, "a key that expired just before the time"),
        (&paused, "a disabled key that expired before the time"),
        (
            &revoked_later,
            "a key that expired before the time and was revoked after it",
        ),
        (
            &revoked_before,
            "a key that expired and was revoked before the time",
        ),
    ] {
        assert_gone(store, record, purged);
    }
    assert_eq!(count, 5, "a purge by expiry returned the wrong count");
    for record in &staying {
        assert_kept(store, record, "a purge by expiry");
    }
}

fn purge_with_two_times_deletes_the_keys_of_both<H: Harness>(store: &Handle<'_, H>) {
    let tenant = "purge/both";
    let add = |text, end| store.add(expiring(record_in(tenant, text), end));
    let expired = add("expired", at(-1));
    let revoked = store.add(record_in(tenant, "revoked"));
    let expired_and_revoked = add("expired and revoked", at(-1));
    for record in [&revoked, &expired_and_revoked] {
        revoke_at(store, record, at(-11));
    }
    let recently_revoked = add("revoked recently", at(1));
    revoke_at(store, &recently_revoked, at(-10));
    let recently_revoked = store.read(&recently_revoked.key.id);
    let expires = add("expires", now());
    let paused = store.add(disabled(record_in(tenant, "disabled")));

    let purge = expired_before_now(tenant).with_revoked_before(at(-10));
    let count = purge_all(store, &purge);
    for (record, purged) in [
        (&expired, "an expired key by two times"),
        (&revoked, "a revoked key by two times"),
        (
            &expired_and_revoked,
            "an expired and revoked key by two times",
        ),
    ] {
        assert_gone(store, record, purged);
    }
    assert_eq!(count, 3, "a purge with two times returned the wrong count");
    for record in [&recently_revoked, &expires, &paused] {
        assert_kept(store, record, "a purge with two times");
    }
}

fn purge_by_expiry_of_one_workspace_leaves_the_others<H: Harness>(store: &Handle<'_, H>) {
    let [own, foreign] = ["purge/own", "purge/foreign"]
        .map(|tenant| store.add(expiring(record_in(tenant, "expired"), long_ago())));
    let count = purge_all(store, &expired_before_now("purge/own"));
    assert_gone(store, &own, "an expired key of the given workspace");
    assert_kept(store, &foreign, "a purge by expiry of one workspace");
    assert_eq!(
        count, 1,
        "a purge by expiry of one workspace returned the wrong count"
    );
    purge_all(store, &Purge::new(100).with_expired_before(now()));
    assert_gone(store, &foreign, "an expired key of any workspace");
}

/// An update or a rotation may set, move or clear the expiry of a key.
fn purge_follows_updates_of_the_expiry<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let tenant = "purge/moved";
    let moved = |text, from, to: Option<Timestamp>| {
        let mut key = record_in(tenant, text);
        key.key.expires_at = from;
        let key = store.add(key);
        other.change(&key, |key| key.expires_at = to)
    };
    let set = moved("given an expiry", None, Some(at(-1)));
    let earlier = moved("ends earlier", Some(at(1)), Some(at(-1)));
    let staying = [
        moved("ends later", Some(at(-1)), Some(at(1))),
        moved("no longer ends", Some(at(-1)), None),
    ];
    let count = purge_all(store, &expired_before_now(tenant));
    assert_gone(store, &set, "a key that an update gave an expiry");
    assert_gone(store, &earlier, "a key whose expiry an update moved");
    assert_eq!(
        count, 2,
        "a purge by expiry did not follow the updates of the expiry"
    );
    for record in &staying {
        assert_kept(store, record, "a purge by expiry, after updates,");
    }

    // The successor expires with its predecessor, so that no remaining record descends from it.
    let predecessor = store.add(record_in(tenant, "retired"));
    let successor = rotated(store, &predecessor);
    store.change(&successor, |key| key.expires_at = Some(at(400)));
    let purge = Purge::new(100).with_workspace(workspace(tenant));
    assert_eq!(
        purge_all(store, &purge.clone().with_expired_before(at(401))),
        2,
        "did not purge exactly a successor that expired and a key that has expired"
    );
    assert_gone(store, &successor, "the expired successor of a key");
    assert_eq!(
        purge_all(store, &purge.with_expired_before(at(501))),
        1,
        "did not purge a key by the expiry that a rotation gave it"
    );
    assert_gone(store, &predecessor, "a retired key");
}

fn purge_keeps_expired_keys_with_descendants<H: Harness>(store: &Handle<'_, H>) {
    let tenant = "purge/families";
    let purge = and_revoked(expired_before_now(tenant));
    // A child expires with its parent when it is inserted. An update may extend its expiry.
    let root = store.add(record_in(tenant, "root"));
    let child = store.add(child_of(&root));
    let grandchild = store.add(child_of(&child));
    let replaced = store.add(record_in(tenant, "replaced"));
    let successor = rotated(store, &replaced);
    let rotator = store.add(record_in(tenant, "rotator"));
    let elsewhere = store.add(record_in(tenant, "elsewhere"));
    let received = rotated_by(store, &rotator, &elsewhere);
    let end = |record: &Record| {
        let current = store.read(&record.key.id);
        store.change(&current, |key| key.expires_at = Some(at(-1)))
    };
    // The youngest key of each family neither expires nor is revoked.
    let staying = [
        end(&root),
        {
            revoke_at(store, &child, long_ago());
            store.read(&child.key.id)
        },
        grandchild.clone(),
        end(&replaced),
        successor.clone(),
        end(&rotator),
        received.clone(),
    ];
    assert_eq!(
        purge_all(store, &purge),
        0,
        "purged an expired key from which a remaining key descends"
    );
    for record in &staying {
        assert_kept(store, record, "a purge of expired keys with descendants");
    }
    end(&grandchild);
    revoke_at(store, &successor, long_ago());
    end(&received);
    assert_eq!(
        purge_all(store, &purge),
        7,
        "did not purge families whose keys were all expired or revoked in time"
    );
    for record in &staying {
        assert_gone(store, record, "a key of an expired family");
    }
}

fn purge_by_expiry_deletes_no_more_than_the_limit<H: Harness>(store: &Handle<'_, H>) {
    let tenant = "purge/limit";
    let mut left: Vec<Record> = (0..7)
        .map(|_| store.add(expiring(record_in(tenant, "expired"), at(-1))))
        .collect();
    let mut purge = expired_before_now(tenant);
    purge.limit = 2;
    while !left.is_empty() {
        let count = store.purge(&purge);
        let before = left.len();
        assert!(
            (1..=2).contains(&count),
            "a purge by expiry of at most 2 records returned the count {count}, with {before} left"
        );
        left.retain(|record| store.find(&record.key.id).is_some());
        assert_eq!(
            (before - left.len()) as u64,
            count,
            "a purge by expiry did not delete as many records as it counted"
        );
    }
    assert_eq!(
        store.purge(&purge),
        0,
        "a purge by expiry counted records, but none are left"
    );
}

/// An acknowledged update removes the expiry of a key, so that no later purge deletes the key.
fn purge_during_an_update_keeps_the_updated_key<H: Harness>(handles: &[Handle<'_, H>]) {
    let tenant = "purge/updated";
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let key = store.add(expiring(record_in(tenant, "prolonged"), at(-1)));
        let mut prolonged = key.key.clone();
        prolonged.expires_at = None;
        let results = race(handles, 3, |thread, store| {
            if thread == 0 {
                return Some(store.update(&key, &prolonged));
            }
            purge_all(store, &expired_before_now(tenant));
            None
        });
        let found = store.find(&key.key.id).map(|record| record.key);
        for result in results.into_iter().flatten() {
            if result.is_ok() {
                assert_eq!(
                    found.as_ref(),
                    Some(&prolonged),
                    "round {round}: a purge deleted or changed a key whose expiry was removed"
                );
            } else {
                assert_rejected(
                    result,
                    StoreErrorKind::NotFound,
                    "an update of a key that a purge has deleted",
                );
                assert_eq!(found, None, "round {round}: stored a rejected update");
            }
        }
    }
}
