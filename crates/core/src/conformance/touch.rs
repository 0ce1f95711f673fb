//! Clause 8: a touch records the time of last use, and changes nothing else.

use super::{
    fixture::{at, credential, expiring, now, record, record_in, unused_id},
    handle::{Handle, race},
    harness::Harness,
};
use crate::{KeyId, ListKeys, Timestamp, store::Record};

/// Tests clause 8, touch is not a write of the record.
pub fn touch_is_no_write(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    touch_creates_nothing(store);
    last_use_only_moves_forward(store, other);
    batch_touches_each_known_key(store);
    touch_does_not_change_the_version(store);
    touch_changes_no_other_field_of_a_revoked_key(store);
    latest_concurrent_touch_wins(&handles);
}

fn touch_creates_nothing<H: Harness>(store: &Handle<'_, H>) {
    let unknown = unused_id();
    store.touch(&[]);
    store.touch(&[(unknown, now())]);
    assert_eq!(store.find(&unknown), None, "a touch created a record");
    assert!(
        store.is_empty(),
        "an empty store is not empty after a touch of an unknown id"
    );
    let mut late = record("inserted after a touch of its id");
    late.key.id = unknown;
    let late = store.add(late);
    assert_eq!(
        store.read(&unknown),
        late,
        "a touch before the insert changed the record"
    );
}

/// Fails unless the record has this time of last use and is otherwise unchanged.
#[track_caller]
fn assert_touched<H: Harness>(store: &Handle<'_, H>, before: &Record, last_used_at: Timestamp) {
    let mut expected = before.clone();
    expected.key.last_used_at = Some(last_used_at);
    let found = store.read(&before.key.id);
    assert_eq!(
        found, expected,
        "a touch recorded the wrong time of last use, or changed another field"
    );
}

fn last_use_only_moves_forward<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let keys = [
        record("active"),
        expiring(record("expired"), at(-1)),
        record_in("other", "key"),
    ];
    for key in keys {
        let key = store.add(key);
        for (used, latest) in [
            (0, 0),
            (-1, 0),
            (0, 0),
            (1, 1),
            (60_000, 60_000),
            (59_999, 60_000),
        ] {
            store.touch(&[(key.key.id, at(used))]);
            assert_touched(other, &key, at(latest));
        }
        let page = store.list(&key.key.workspace, &ListKeys::new().with_limit(100));
        let listed = page.keys.into_iter().find(|listed| listed.id == key.key.id);
        assert_eq!(
            listed,
            Some(store.read(&key.key.id).key),
            "a list does not show the time of last use"
        );
    }
}

fn batch_touches_each_known_key<H: Harness>(store: &Handle<'_, H>) {
    let [first, second, third] = ["first", "second", "third"].map(|name| store.add(record(name)));
    let unknown = unused_id();
    store.touch(&[
        (unknown, at(1)),
        (first.key.id, at(5)),
        (second.key.id, at(2)),
        (unknown, at(3)),
        (first.key.id, at(4)),
        (second.key.id, at(9)),
        (unknown, at(2)),
    ]);
    assert_touched(store, &first, at(5));
    assert_touched(store, &second, at(9));
    assert_eq!(
        store.read(&third.key.id),
        third,
        "a touch changed a key outside the batch"
    );
    assert_eq!(store.find(&unknown), None, "a touch created a record");

    // More pairs than any database allows parameters in a statement.
    let mut many: Vec<(KeyId, Timestamp)> = (0..2_000).map(|_| (unused_id(), at(6))).collect();
    many.insert(1_000, (third.key.id, at(6)));
    store.touch(&many);
    assert_touched(store, &third, at(6));
}

fn touch_does_not_change_the_version<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("read, touched, written"));
    store.touch(&[(key.key.id, at(1))]);
    let result = store.rename(&key, "new");
    assert!(
        result.is_ok(),
        "rejected a rename after a touch: {result:?}"
    );
    let read = store.read(&key.key.id);
    assert_eq!(
        read.key.last_used_at,
        Some(at(1)),
        "a rename changed the time of last use"
    );
    store.touch(&[(key.key.id, at(2))]);
    let result = store.rehash(&read, &credential(4));
    assert!(
        result.is_ok(),
        "rejected a rehash after a touch: {result:?}"
    );
    assert_eq!(
        store.read(&key.key.id).key.last_used_at,
        Some(at(2)),
        "a rehash changed the time of last use"
    );
}

fn touch_changes_no_other_field_of_a_revoked_key<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("revoked"));
    store.revoke_key(&key);
    let mut revoked = store.read(&key.key.id);
    store.touch(&[(key.key.id, at(1))]);
    let found = store.read(&key.key.id);
    revoked.key.last_used_at = found.key.last_used_at;
    assert_eq!(
        found, revoked,
        "a touch of a revoked key changed a field other than the time of last use"
    );
}

fn latest_concurrent_touch_wins<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for _ in 0..5 {
        let keys = ["one", "two"].map(|name| store.add(record(name)));
        race(handles, 6, |thread, store| {
            let used = at([3, 1, 6, 2, 5, 4][thread]);
            store.touch(&[
                (keys[thread % 2].key.id, used),
                (keys[1 - thread % 2].key.id, used),
            ]);
        });
        for key in &keys {
            assert_touched(store, key, at(6));
        }
    }
}
