//! Clause 14: an error names its kind, the backend and its cause.

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, in_version, now, record, record_in, successor_of,
    },
    handle::Handle,
    harness::Harness,
};
use crate::{
    Environment, ListKeys, ListStart, Reach,
    store::{Durability, Record, Retire, StoreError, StoreErrorKind},
};

/// Tests clause 14, errors.
pub fn errors(harness: &impl Harness) {
    let store = Handle::open(harness);
    let ping = store.wait(store.store().ping());
    assert!(ping.is_ok(), "failed a ping although it works: {ping:?}");
    messages_and_backend(&store);
    damaged_records_are_corrupt(harness, &store);
}

fn messages_and_backend<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("key"));
    let unknown = record("never inserted");
    let other = in_version(9, &key);
    let errors = [
        rotate(store, &key, &key).err(),
        store.insert(&key, now()).err(),
        store.insert(&child_of(&unknown), now()).err(),
        store.rename(&other, "new").err(),
        store.rename(&unknown, "new").err(),
        store.rehash(&other, &credential(3)).err(),
        store.rehash(&unknown, &credential(3)).err(),
        store.revoke(&unknown, Reach::Key, now()).err(),
        rotate(store, &other, &successor_of(&key)).err(),
        rotate(store, &unknown, &successor_of(&unknown)).err(),
    ];
    // The functions for the other clauses check that these calls fail, and the kinds of errors.
    let mut backends: Vec<&str> = Vec::new();
    for error in errors.iter().flatten() {
        assert_well_formed(error);
        backends.push(error.backend());
    }
    backends.dedup();
    assert_eq!(
        backends.len(),
        1,
        "reported several names for one backend: {backends:?}"
    );
}

fn rotate<H: Harness>(
    store: &Handle<'_, H>,
    predecessor: &Record,
    successor: &Record,
) -> Result<(), StoreError> {
    store.rotate(predecessor, Retire::At(at(500)), successor, now())
}

/// Fails unless the error names its backend, and it and all its causes are messages of one line.
#[track_caller]
fn assert_well_formed(error: &StoreError) {
    assert!(
        !error.backend().is_empty(),
        "returned an error without the name of the backend: {error:?}"
    );
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        assert!(
            !message.is_empty(),
            "returned an error with an empty message: {error:?}"
        );
        assert_eq!(
            message.lines().count(),
            1,
            "returned an error whose message is not one line: {message:?}"
        );
        cause = error.source();
    }
}

fn damaged_records_are_corrupt<H: Harness>(harness: &H, store: &Handle<'_, H>) {
    let older = store.add(record_in("damaged", "older"));
    let damaged = store.add(record_in("damaged", "damaged"));
    let newer = store.add(record_in("damaged", "newer"));
    let foreign = store.add(record_in("undamaged", "foreign"));
    // A handle that read the record before the damage must not keep returning its copy.
    assert_eq!(
        store.read(&damaged.key.id),
        damaged,
        "changed a record before it was damaged"
    );
    if !harness.damage(&damaged.key.id) {
        assert_eq!(
            store.store().durability(),
            Durability::Process,
            "a store that outlives its process must allow its harness to damage a record"
        );
        return;
    }

    let kind = StoreErrorKind::Corrupt;
    let everything = ListKeys::new().with_limit(10);
    let after = everything
        .clone()
        .with_start(ListStart::After(newer.key.id));
    let later = Handle::open(harness);
    for store in [store, &later] {
        let found = store.wait(store.store().find(&damaged.key.id));
        if let Err(error) = &found {
            assert_well_formed(error);
            assert!(
                std::error::Error::source(error).is_some(),
                "returned an error without a cause for a record that cannot be read back"
            );
        }
        assert_rejected(found, kind, "a lookup of a damaged record");
        for listing in [&everything, &after] {
            let listed = store.wait(store.store().list(
                &damaged.key.workspace,
                Environment::Live,
                listing,
                now(),
            ));
            assert_rejected(listed, kind, "a list that contains a damaged record");
        }
        for record in [&older, &newer, &foreign] {
            assert_eq!(
                store.read(&record.key.id),
                *record,
                "changed a record next to a damaged one"
            );
        }
        let page = store.list(&foreign.key.workspace, &everything);
        assert_eq!(
            page.keys.iter().collect::<Vec<_>>(),
            [&foreign.key],
            "listed the wrong keys next to a damaged record"
        );
    }

    writes_find_a_damaged_record(store, &damaged);
    for record in [&older, &newer, &foreign] {
        assert_eq!(
            store.read(&record.key.id),
            *record,
            "a write to a damaged record changed another record"
        );
    }
}

/// Writes to a damaged record. A store may complete a write that does not need to read the record.
/// It must not panic, and must not report that there is no such record.
fn writes_find_a_damaged_record<H: Harness>(store: &Handle<'_, H>, damaged: &Record) {
    #[track_caller]
    fn assert_found<T>(result: Result<T, StoreError>, call: &str) {
        let kind = result.err().map(|error| error.kind());
        assert_ne!(
            kind,
            Some(StoreErrorKind::NotFound),
            "{call} did not find a damaged record"
        );
    }
    let result = store.insert(damaged, now());
    assert!(result.is_err(), "an insert replaced a damaged record");
    let result = store.insert(&child_of(damaged), now());
    assert!(result.is_err(), "inserted a child of a damaged parent");
    let touched = store.wait(store.store().touch(&[(damaged.key.id, at(1))]));
    assert_found(touched, "a touch");
    assert_found(store.rename(damaged, "new"), "a rename");
    assert_found(store.rehash(damaged, &credential(3)), "a rehash");
    assert_found(rotate(store, damaged, &successor_of(damaged)), "a rotation");
    for reach in [Reach::Key, Reach::Descendants] {
        assert_found(store.revoke(damaged, reach, now()), "a revocation");
    }
}
