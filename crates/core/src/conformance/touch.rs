//! Clause 8: a use is noted, and nothing else.

use super::{
    Harness,
    fixture::{at, credential, expiring, name, now, record, record_in, unused_id},
    handle::{Handle, race},
};
use crate::{KeyId, ListKeys, Record, Rename, Timestamp};

/// Clause 8, touch is no write of the record.
pub fn touch_is_no_write(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    nothing_is_created(store);
    moves_forward_only(store, other);
    batches(store);
    updates_go_on(store);
    revoked_keys(store);
    latest_of_many(&handles);
}

fn nothing_is_created<H: Harness>(store: &Handle<'_, H>) {
    let unknown = unused_id();
    store.touch(&[]);
    store.touch(&[(unknown, now())]);
    assert_eq!(store.find(&unknown), None, "a touch has created a record");
    assert!(store.is_empty(), "a touch has created something");
    let mut late = record("inserted after a touch of its id");
    late.key.id = unknown;
    let late = store.add(late);
    assert_eq!(
        store.read(&unknown),
        late,
        "a touch before the insert has left a trace"
    );
}

/// Fails unless the record is as it was, but for this time of last use.
#[track_caller]
fn assert_touched<H: Harness>(store: &Handle<'_, H>, before: &Record, last_used_at: Timestamp) {
    let mut expected = before.clone();
    expected.key.last_used_at = Some(last_used_at);
    let found = store.read(&before.key.id);
    assert_eq!(
        found, expected,
        "a touch moves the time of last use forward, and changes no more"
    );
}

fn moves_forward_only<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
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
            "a list does not show the last use"
        );
    }
}

fn batches<H: Harness>(store: &Handle<'_, H>) {
    let [first, second, third] = ["first", "second", "third"].map(|name| store.add(record(name)));
    let gone = unused_id();
    store.touch(&[
        (gone, at(1)),
        (first.key.id, at(5)),
        (second.key.id, at(2)),
        (gone, at(3)),
        (first.key.id, at(4)),
        (second.key.id, at(9)),
        (gone, at(2)),
    ]);
    assert_touched(store, &first, at(5));
    assert_touched(store, &second, at(9));
    assert_eq!(
        store.read(&third.key.id),
        third,
        "a touch has changed a key outside the batch"
    );
    assert_eq!(store.find(&gone), None, "a touch has created a record");

    // More than any limit on the parameters of one statement.
    let mut many: Vec<(KeyId, Timestamp)> = (0..2_000).map(|_| (unused_id(), at(6))).collect();
    many.insert(1_000, (third.key.id, at(6)));
    store.touch(&many);
    assert_touched(store, &third, at(6));
}

fn updates_go_on<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("read, touched, written"));
    store.touch(&[(key.key.id, at(1))]);
    let answer = store.rename(&key, &Rename::new(Some(name("new")), None));
    assert!(
        answer.is_ok(),
        "a touch is no reason to refuse a rename: {answer:?}"
    );
    let read = store.read(&key.key.id);
    assert_eq!(
        read.key.last_used_at,
        Some(at(1)),
        "a rename has changed the time of last use"
    );
    store.touch(&[(key.key.id, at(2))]);
    let answer = store.rehash(&read, &credential(4));
    assert!(
        answer.is_ok(),
        "a touch is no reason to refuse a rehash: {answer:?}"
    );
    assert_eq!(
        store.read(&key.key.id).key.last_used_at,
        Some(at(2)),
        "a rehash has changed it"
    );
}

fn revoked_keys<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("revoked"));
    store.withdraw(&key);
    let mut revoked = store.read(&key.key.id);
    store.touch(&[(key.key.id, at(1))]);
    let found = store.read(&key.key.id);
    revoked.key.last_used_at = found.key.last_used_at;
    assert_eq!(
        found, revoked,
        "a touch of a revoked key changes at most its time of last use"
    );
}

fn latest_of_many<H: Harness>(handles: &[Handle<'_, H>]) {
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
