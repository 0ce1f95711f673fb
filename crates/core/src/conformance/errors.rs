//! Clause 14: errors tell what went wrong, and where.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, credential, in_version, name, now, record, record_in,
        successor_of,
    },
    handle::Handle,
};
use crate::{
    Durability, Environment, ListKeys, ListStart, Reach, Record, Rename, Retire, StoreError,
    StoreErrorKind,
};

/// Clause 14, errors.
pub fn errors(harness: &impl Harness) {
    let store = Handle::open(harness);
    texts_and_backend(&store);
    damaged_records_are_corrupt(harness, &store);
}

fn texts_and_backend<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("key"));
    let unknown = record("never inserted");
    let rename = Rename::new(Some(name("new")), None);
    let other = in_version(9, &key);
    let errors = [
        rotate(store, &key, &key).err(),
        store.insert(&key, now()).err(),
        store.insert(&child_of(&unknown), now()).err(),
        store.rename(&other, &rename).err(),
        store.rename(&unknown, &rename).err(),
        store.rehash(&other, &credential(3)).err(),
        store.rehash(&unknown, &credential(3)).err(),
        store.revoke(&unknown, Reach::Key, now()).err(),
        rotate(store, &other, &successor_of(&key)).err(),
        rotate(store, &unknown, &successor_of(&unknown)).err(),
    ];
    // That each of these is refused, and as what, is for the clauses to show that say so.
    let mut backends: Vec<&str> = Vec::new();
    for error in errors.iter().flatten() {
        assert_well_formed(error);
        backends.push(error.backend());
    }
    backends.dedup();
    assert_eq!(backends.len(), 1, "a store has one name: {backends:?}");
}

fn rotate<H: Harness>(
    store: &Handle<'_, H>,
    predecessor: &Record,
    successor: &Record,
) -> Result<(), StoreError> {
    store.rotate(predecessor, Retire::At(at(500)), successor, now())
}

/// Fails unless an error and all its causes fit into a line of a log.
#[track_caller]
fn assert_well_formed(error: &StoreError) {
    assert!(
        !error.backend().is_empty(),
        "an error without its backend's name: {error:?}"
    );
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        assert!(!text.is_empty(), "an error without a text: {error:?}");
        assert_eq!(
            text.lines().count(),
            1,
            "the text of an error is one line: {text:?}"
        );
        cause = error.source();
    }
}

fn damaged_records_are_corrupt<H: Harness>(harness: &H, store: &Handle<'_, H>) {
    let older = store.add(record_in("damaged", "older"));
    let damaged = store.add(record_in("damaged", "damaged"));
    let newer = store.add(record_in("damaged", "newer"));
    let foreign = store.add(record_in("undamaged", "foreign"));
    // A handle may have read the record before: it must not remember it for ever.
    assert_eq!(
        store.read(&damaged.key.id),
        damaged,
        "a record before it is damaged"
    );
    if !harness.damage(&damaged.key.id) {
        assert_eq!(
            store.store().durability(),
            Durability::Process,
            "a store that keeps anything can be damaged"
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
                "what could not be read back is told"
            );
        }
        assert_refused(found, kind, "a find of a damaged record");
        for listing in [&everything, &after] {
            let listed = store.wait(store.store().list(
                &damaged.key.workspace,
                Environment::Live,
                listing,
                now(),
            ));
            assert_refused(listed, kind, "a list with a damaged record on it");
        }
        for record in [&older, &newer, &foreign] {
            assert_eq!(
                store.read(&record.key.id),
                *record,
                "a record beside a damaged one"
            );
        }
        let page = store.list(&foreign.key.workspace, &everything);
        assert_eq!(
            page.keys.iter().collect::<Vec<_>>(),
            [&foreign.key],
            "a list without a damaged record on it"
        );
    }

    writes_to_a_damaged_record(store, &damaged);
    for record in [&older, &newer, &foreign] {
        assert_eq!(
            store.read(&record.key.id),
            *record,
            "writes to a damaged record hit another"
        );
    }
}

/// Some stores can carry out a write without reading the record; none may panic, nor forget that
/// the record is there.
fn writes_to_a_damaged_record<H: Harness>(store: &Handle<'_, H>, damaged: &Record) {
    #[track_caller]
    fn assert_known<T>(answer: Result<T, StoreError>, what: &str) {
        let kind = answer.err().map(|error| error.kind());
        assert_ne!(
            kind,
            Some(StoreErrorKind::NotFound),
            "{what} does not find a damaged record"
        );
    }
    let answer = store.insert(damaged, now());
    assert!(answer.is_err(), "an insert has replaced a damaged record");
    let answer = store.insert(&child_of(damaged), now());
    assert!(
        answer.is_err(),
        "a damaged parent is not known to be active"
    );
    let touched = store.wait(store.store().touch(&[(damaged.key.id, at(1))]));
    assert_known(touched, "a touch");
    assert_known(
        store.rename(damaged, &Rename::new(Some(name("new")), None)),
        "a rename",
    );
    assert_known(store.rehash(damaged, &credential(3)), "a rehash");
    assert_known(rotate(store, damaged, &successor_of(damaged)), "a rotation");
    for reach in [Reach::Key, Reach::Descendants] {
        assert_known(store.revoke(damaged, reach, now()), "a revocation");
    }
}
