//! Clause 18: an alias is unique, and finds its record.

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, name, now, record, record_in, successor_of,
        workspace,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Key, ListKeys, Reach,
    store::{Alias, Purge, Record, Retire, StoreErrorKind},
};

/// Tests clause 18, aliases.
pub fn aliases(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    finds_the_record(store, other);
    taken_alias_is_rejected(store);
    rejected_insert_takes_no_alias(store);
    one_concurrent_insert_succeeds(&handles);
    alias_stays_with_its_record(store, other);
    purge_frees_the_alias(store);
    list_of_imported_keys(store);
    alias_is_durable(handles);
}

/// Creates a record with an alias that consists of the id, so that it is new, and this last byte.
fn imported(text: &str, last: u8) -> Record {
    with_alias(record(text), last)
}

fn with_alias(record: Record, last: u8) -> Record {
    let mut alias = [0xff; Alias::LENGTH];
    alias[..16].copy_from_slice(record.key.id.as_bytes());
    alias[31] = last;
    let Record {
        key, credential, ..
    } = record;
    Record::imported(key, credential, Alias::from_bytes(alias))
}

/// Gives a record the alias of another one.
fn with_alias_of(other: &Record, record: Record) -> Record {
    let Record {
        key, credential, ..
    } = record;
    Record::imported(key, credential, other.alias.unwrap())
}

#[track_caller]
fn assert_found<H: Harness>(store: &Handle<'_, H>, record: &Record, state: &str) {
    let alias = record.alias.unwrap();
    assert_eq!(
        store.find_by_alias(&alias).as_ref(),
        Some(record),
        "{state}: the alias finds another record"
    );
    assert_eq!(store.read(&record.key.id), *record, "{state}: lost a field");
}

fn finds_the_record<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    // Bytes that are not text, and aliases that differ in one bit of the last byte.
    for last in [0, 1, 0x7f, 0xff] {
        let record = store.add(imported("imported", last));
        assert_found(store, &record, "after the insert");
        assert_found(other, &record, "through another handle");
    }
    let plain = store.add(record("created"));
    assert_eq!(store.read(&plain.key.id).alias, None);
    for alias in [[0; 32], [0xff; 32]] {
        assert_eq!(
            store.find_by_alias(&Alias::from_bytes(alias)),
            None,
            "found a record by an alias that none has"
        );
    }
}

fn taken_alias_is_rejected<H: Harness>(store: &Handle<'_, H>) {
    let old = store.add(imported("first", 0));
    let again = with_alias_of(&old, record("second"));
    let elsewhere = with_alias_of(&old, record_in("other", "second"));
    for taken in [&again, &elsewhere] {
        assert_rejected(
            store.insert(taken, now()),
            StoreErrorKind::AlreadyExists,
            "an insert with a taken alias",
        );
        assert_eq!(
            store.find(&taken.key.id),
            None,
            "an insert with a taken alias stored a record"
        );
        assert_found(
            store,
            &old,
            "after the insert of another record with its alias",
        );
    }
    store.revoke_key(&old);
    assert_rejected(
        store.insert(&again, now()),
        StoreErrorKind::AlreadyExists,
        "an insert with the alias of a revoked key",
    );
}

fn rejected_insert_takes_no_alias<H: Harness>(store: &Handle<'_, H>) {
    let present = store.add(record("present"));
    let unused = imported("unused", 0);
    let same_id = with_alias_of(&unused, present);
    assert_rejected(
        store.insert(&same_id, now()),
        StoreErrorKind::AlreadyExists,
        "an insert of an existing id with an alias",
    );
    let orphan = with_alias_of(&unused, child_of(&record("never inserted")));
    assert_rejected(
        store.insert(&orphan, now()),
        StoreErrorKind::Conflict,
        "an insert with an alias and an unknown parent",
    );
    let free = store.add(with_alias_of(&unused, record("free")));
    assert_found(store, &free, "after rejected inserts with its alias");
}

fn one_concurrent_insert_succeeds<H: Harness>(handles: &[Handle<'_, H>]) {
    for _ in 0..10 {
        let first = imported("contended", 0);
        let inserted = race(handles, 6, |_, store| {
            let record = with_alias_of(&first, record("contended"));
            match store.insert(&record, now()) {
                Ok(()) => Some(record),
                result => {
                    assert_rejected(
                        result,
                        StoreErrorKind::AlreadyExists,
                        "a concurrent insert with a taken alias",
                    );
                    assert_eq!(store.find(&record.key.id), None, "stored a rejected record");
                    None
                }
            }
        });
        let inserted: Vec<Record> = inserted.into_iter().flatten().collect();
        assert_eq!(
            inserted.len(),
            1,
            "concurrent inserts with one alias: not exactly one succeeded"
        );
        assert_found(&handles[0], &inserted[0], "after concurrent inserts");
    }
}

fn alias_stays_with_its_record<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let mut current = store.add(imported("changing", 0));
    current = store.change(&current, |key: &mut Key| key.name = name("changed"));
    assert_found(other, &current, "after an update");

    store
        .rehash(&current, &credential(9))
        .expect("the store failed to replace a hash");
    current.credential = credential(9);
    current.version += 1;
    assert_found(other, &current, "after a new hash");

    store.touch(&[(current.key.id, at(5))]);
    current.key.last_used_at = Some(at(5));
    assert_found(other, &current, "after a use");

    let successor = successor_of(&current);
    store
        .rotate(&current, Retire::At(at(500)), &successor, now())
        .expect("the store failed to rotate a key");
    let retired = store.read(&current.key.id);
    assert_eq!(retired.alias, current.alias, "a rotation lost the alias");
    assert_found(other, &retired, "after a rotation");
    assert_eq!(
        store.read(&successor.key.id).alias,
        None,
        "the successor has an alias"
    );

    store
        .revoke(&retired, Reach::Descendants, now())
        .expect("the store failed to revoke a key");
    let revoked = store.read(&current.key.id);
    assert_eq!(revoked.key.revoked_at, Some(now()));
    assert_found(other, &revoked, "after a revocation");
}

fn purge_frees_the_alias<H: Harness>(store: &Handle<'_, H>) {
    let old = store.add(with_alias(record_in("purged", "old"), 0));
    store
        .revoke(&old, Reach::Key, at(-1_000))
        .expect("the store failed to revoke a key");
    let purge = Purge::new(100)
        .with_revoked_before(now())
        .with_workspace(workspace("purged"));
    assert_eq!(store.purge(&purge), 1);
    let alias = old.alias.unwrap();
    assert_eq!(
        store.find_by_alias(&alias),
        None,
        "a purged record was found by its alias"
    );
    let new = store.add(with_alias_of(&old, record_in("purged", "new")));
    assert_found(
        store,
        &new,
        "after the purge of another record with its alias",
    );
}

fn list_of_imported_keys<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("lists");
    let mut expected = Vec::new();
    for number in 0..6 {
        let mut record = record_in("lists", "key");
        if number % 2 == 0 {
            record = with_alias(record, 0);
            expected.insert(0, record.key.id);
        }
        store.add(record);
    }
    let list = ListKeys::new().imported();
    let page = store.list(&tenant, &list);
    let ids: Vec<_> = page.keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, expected, "listed the wrong imported keys");
}

fn alias_is_durable<H: Harness>(handles: [Handle<'_, H>; 3]) {
    let [store, other, third] = handles;
    let kept = store.add(imported("kept", 0));
    let unused = imported("unused", 0).alias.unwrap();
    drop((other, third));
    let store = store.reopened();
    assert_found(&store, &kept, "after a restart");
    assert_eq!(store.find_by_alias(&unused), None);
    assert_rejected(
        store.insert(&with_alias_of(&kept, record("again")), now()),
        StoreErrorKind::AlreadyExists,
        "an insert with a taken alias after a restart",
    );
}
