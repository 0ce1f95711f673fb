//! Of concurrent changes, exactly those that succeed append their events.

use super::log::{add, history};
use crate::{
    Event, EventKind, Key, Reach, Revocation,
    conformance::{
        fixture::{at, child_of, event, name, now, record, revoked, rotated, successor_of},
        handle::{Handle, race},
        harness::Harness,
    },
    store::{Record, Retire, StoreError},
};

const ROUNDS: usize = 8;
const THREADS: usize = 6;

/// Tests the events of concurrent changes.
pub(super) fn races<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    for _ in 0..ROUNDS {
        concurrent_inserts(handles);
        concurrent_updates(handles);
        concurrent_rotations(handles);
        concurrent_revocations(handles);
        concurrent_cascades(handles);
        concurrent_children(handles);
    }
}

/// Fails unless the events of a key are `earlier` and those of the calls that succeeded.
#[track_caller]
fn assert_succeeded<H: Harness, T>(
    handles: &[Handle<'_, H>],
    key: &Key,
    earlier: &[Event],
    calls: Vec<(Event, Result<T, StoreError>)>,
) {
    let mut expected = earlier.to_vec();
    let succeeded = calls.into_iter().filter(|(_, result)| result.is_ok());
    expected.extend(succeeded.map(|(event, _)| event));
    expected.sort_by_key(|event| event.id);
    for store in handles {
        assert_eq!(
            history(store, key),
            expected,
            "the log does not contain exactly the events of the concurrent calls that succeeded"
        );
    }
}

fn concurrent_inserts<H: Harness>(handles: &[Handle<'_, H>]) {
    let new = record("new");
    let calls = race(handles, THREADS, |_, store| {
        let created = event(&new.key, EventKind::Created);
        let result = store.insert_with(&new, now(), Some(&created));
        (created, result)
    });
    assert_succeeded(handles, &new.key, &[], calls);
}

fn concurrent_updates<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let (key, created) = add(store, record("updated"));
    let calls = race(handles, THREADS, |number, store| {
        let updated = event(&key.key, EventKind::Updated);
        let changed = Key {
            name: name(&format!("by {number}")),
            ..key.key.clone()
        };
        let result = store.update_with(&key, &changed, Some(&updated));
        (updated, result)
    });
    assert_succeeded(handles, &key.key, &[created], calls);
}

fn concurrent_rotations<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let (key, created) = add(store, record("rotated"));
    let calls = race(handles, THREADS, |_, store| {
        let successor = successor_of(&key);
        let replaced = event(&key.key, rotated(&successor));
        let retire = Retire::At(at(500));
        let result = store.rotate_with(&key, retire, &successor, now(), Some(&replaced));
        (replaced, result)
    });
    assert_succeeded(handles, &key.key, &[created], calls);
}

/// Fails unless the log has an event for each revocation of this key that revoked a key, with the
/// number of keys.
#[track_caller]
fn assert_counted<H: Harness>(
    handles: &[Handle<'_, H>],
    key: &Key,
    created: Event,
    calls: Vec<(Event, Result<Revocation, StoreError>)>,
) {
    let calls = calls.into_iter().filter_map(|(event, result)| {
        let count = result.as_ref().map_or(0, |revocation| revocation.count);
        (count > 0).then(|| (event.with_count(count), result))
    });
    assert_succeeded(handles, key, &[created], calls.collect());
}

fn concurrent_revocations<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let (key, created) = add(store, record("revoked"));
    let calls = race(handles, THREADS, |_, store| {
        let ended = event(&key.key, revoked(Reach::Key));
        let result = store.revoke_with(&key, Reach::Key, now(), Some(&ended));
        (ended, result)
    });
    assert_counted(handles, &key.key, created, calls);
}

fn concurrent_cascades<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let (root, created) = add(store, record("root"));
    let mut youngest = root.clone();
    for _ in 0..4 {
        add(store, child_of(&root));
        (youngest, _) = add(store, child_of(&youngest));
    }
    let calls = race(handles, THREADS, |_, store| {
        let ended = event(&root.key, revoked(Reach::Descendants));
        let result = store.revoke_with(&root, Reach::Descendants, now(), Some(&ended));
        (ended, result)
    });
    assert_counted(handles, &root.key, created, calls);
}

/// Keys that are inserted during a cascade have an event if they were inserted.
fn concurrent_children<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let (root, _) = add(store, record("root"));
    let (child, _) = add(store, child_of(&root));
    let inserts = race(handles, THREADS, |number, store| {
        if number == 0 {
            let ended = event(&root.key, revoked(Reach::Descendants));
            store
                .revoke_with(&root, Reach::Descendants, now(), Some(&ended))
                .expect("the store failed to revoke a key and its descendants with an event");
            return None;
        }
        let grandchild: Record = child_of(&child);
        let created = event(&grandchild.key, EventKind::Created);
        let result = store.insert_with(&grandchild, now(), Some(&created));
        Some((grandchild, created, result))
    });
    for (grandchild, created, result) in inserts.into_iter().flatten() {
        assert_succeeded(handles, &grandchild.key, &[], vec![(created, result)]);
    }
}
