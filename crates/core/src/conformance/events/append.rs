//! Each effective change appends exactly its event, and nothing else appends or changes one.

use std::fmt::Debug;

use super::log::{add, append as append_event, assert_log, detailed, history, largest, revoke};
use crate::{
    Event, EventKind, Key, Reach,
    conformance::{
        fixture::{
            at, child_of, credential, disabled, event, expiring, in_version, moved_to, name, now,
            owned, received_by, record_in, revoked, rotated, successor_of, unused_id,
        },
        handle::Handle,
        harness::Harness,
    },
    store::{Purge, Record, Reservation, Retire, StoreError},
};

/// Tests which calls append an event, and that events are kept as they are.
pub(super) fn append<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    each_change_appends_its_event(handles);
    events_of_any_size_are_kept(handles);
    cascade_appends_one_event_with_its_count(handles);
    cascade_from_a_revoked_key_appends_an_event_if_it_revokes_another(handles);
    failed_calls_append_nothing(handles);
    call_after_a_failure_appends_its_event(handles);
    repeated_revocations_append_nothing(handles);
    other_calls_append_nothing(handles);
    changes_without_an_event_append_nothing(handles);
}

fn renamed(record: &Record) -> Key {
    Key {
        name: name("new"),
        ..record.key.clone()
    }
}

fn each_change_appends_its_event<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "changes";
    let [store, other, ..] = handles else {
        unreachable!()
    };
    let mut log = Vec::new();
    let key = owned(record_in(TENANT, "key"), "user:42");
    log.push(detailed(&key.key, EventKind::Created));
    store
        .insert_with(&key, now(), log.last())
        .expect("the store rejected a new key with an event");
    assert_log(handles, TENANT, &log, "an insert");

    log.push(detailed(&key.key, EventKind::Updated));
    other
        .update_with(&key, &renamed(&key), log.last())
        .expect("the store failed to update a key with an event");
    assert_log(handles, TENANT, &log, "an update");

    let current = store.read(&key.key.id);
    let successor = successor_of(&current);
    log.push(detailed(&key.key, rotated(&successor)));
    store
        .rotate_with(&current, Retire::At(at(500)), &successor, now(), log.last())
        .expect("the store failed to rotate a key with an event");
    assert_log(handles, TENANT, &log, "a rotation with an overlap");

    let second = successor_of(&successor);
    log.push(detailed(&successor.key, rotated(&second)));
    other
        .rotate_with(&successor, Retire::Now, &second, now(), log.last())
        .expect("the store failed to replace a key with an event");
    assert_log(handles, TENANT, &log, "a rotation that revokes the key");

    revoke(store, &second, Reach::Key, &mut log);
    assert_log(handles, TENANT, &log, "a revocation");
}

fn events_of_any_size_are_kept<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "sizes";
    let [store, ..] = handles else { unreachable!() };
    let (key, created) = add(store, record_in(TENANT, "key"));
    let updated = largest(&key.key, EventKind::Updated);
    append_event(store, &key.key.id, &updated);
    assert_log(handles, TENANT, &[created, updated], "a large event");
}

fn cascade_appends_one_event_with_its_count<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "cascades";
    let [store, ..] = handles else { unreachable!() };
    let mut log = Vec::new();
    let mut add = |record| {
        let (record, event) = add(store, record);
        log.push(event);
        record
    };
    let root = add(owned(record_in(TENANT, "root"), "user:1"));
    let child = add(owned(child_of(&root), "user:2"));
    add(child_of(&child));
    let gone = add(child_of(&root));
    add(child_of(&gone));
    revoke(store, &gone, Reach::Key, &mut log);

    revoke(store, &root, Reach::Descendants, &mut log);
    assert_log(handles, TENANT, &log, "a cascade");
}

fn cascade_from_a_revoked_key_appends_an_event_if_it_revokes_another<H: Harness>(
    handles: &[Handle<'_, H>],
) {
    const TENANT: &str = "cascades/revoked";
    let [store, ..] = handles else { unreachable!() };
    let (root, created_root) = add(store, owned(record_in(TENANT, "root"), "user:42"));
    let (child, created_child) = add(store, child_of(&root));
    let (_, created_grandchild) = add(store, child_of(&child));
    let mut log = vec![created_root, created_child, created_grandchild];
    revoke(store, &root, Reach::Key, &mut log);
    revoke(store, &root, Reach::Descendants, &mut log);
    assert_log(handles, TENANT, &log, "a cascade from a revoked key");
    revoke(store, &root, Reach::Descendants, &mut log);
    assert_log(handles, TENANT, &log, "a cascade that revoked no key");
}

/// Adds the event of a call that must fail to the log if it succeeded: then another clause is
/// broken, and this one requires the event.
fn note<T: Debug>(log: &mut Vec<Event>, event: Event, result: &Result<T, StoreError>) {
    if result.is_ok() {
        log.push(event);
    }
}

fn failed_calls_append_nothing<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "failures";
    let [store, ..] = handles else { unreachable!() };
    let mut log = Vec::new();
    let mut add = |record| {
        let (record, event) = add(store, record);
        log.push(event);
        record
    };
    let key = add(record_in(TENANT, "key"));
    let gone = add(record_in(TENANT, "revoked"));
    let paused = add(disabled(record_in(TENANT, "disabled")));
    let expired = add(expiring(record_in(TENANT, "expired"), at(-1)));
    revoke(store, &gone, Reach::Key, &mut log);
    let unknown = record_in(TENANT, "never inserted");
    let foreign = moved_to("failures/other", &key);

    for (record, call) in [
        (key.clone(), "an insert of an existing id"),
        (child_of(&gone), "an insert of a child of a revoked key"),
        (child_of(&paused), "an insert of a child of a disabled key"),
        (child_of(&expired), "an insert of a child of an expired key"),
        (child_of(&unknown), "an insert of a child of an unknown key"),
    ] {
        let created = event(&record.key, EventKind::Created);
        let result = store.insert_with(&record, now(), Some(&created));
        note(&mut log, created, &result);
        assert_log(handles, TENANT, &log, call);
    }
    for (record, call) in [
        (in_version(9, &key), "an update of another version"),
        (gone.clone(), "an update of a revoked key"),
        (unknown.clone(), "an update of an unknown key"),
        (foreign.clone(), "an update from another workspace"),
    ] {
        let updated = event(&record.key, EventKind::Updated);
        let result = store.update_with(&record, &renamed(&record), Some(&updated));
        note(&mut log, updated, &result);
        assert_log(handles, TENANT, &log, call);
        assert_log(handles, "failures/other", &log, call);
    }
    for (predecessor, successor, call) in [
        (in_version(9, &key), None, "a rotation of another version"),
        (
            key.clone(),
            Some(key.clone()),
            "a rotation to an existing id",
        ),
        (
            key.clone(),
            Some(received_by(&gone, &key)),
            "a rotation by a revoked key",
        ),
        (gone, None, "a rotation of a revoked key"),
        (paused, None, "a rotation of a disabled key"),
        (expired, None, "a rotation of an expired key"),
        (unknown.clone(), None, "a rotation of an unknown key"),
        (foreign.clone(), None, "a rotation from another workspace"),
    ] {
        let successor = successor.unwrap_or_else(|| successor_of(&predecessor));
        let replaced = event(&predecessor.key, rotated(&successor));
        let retire = Retire::At(at(500));
        let result = store.rotate_with(&predecessor, retire, &successor, now(), Some(&replaced));
        note(&mut log, replaced, &result);
        assert_log(handles, TENANT, &log, call);
        assert_log(handles, "failures/other", &log, call);
    }
    for (record, call) in [
        (unknown, "a revocation of an unknown key"),
        (foreign, "a revocation from another workspace"),
    ] {
        for reach in [Reach::Key, Reach::Descendants] {
            let ended = event(&record.key, revoked(reach));
            let result = store.revoke_with(&record, reach, now(), Some(&ended));
            let count = result.as_ref().map_or(0, |revocation| revocation.count);
            if count > 0 {
                note(&mut log, ended.with_count(count), &result);
            }
            assert_log(handles, TENANT, &log, call);
            assert_log(handles, "failures/other", &log, call);
        }
    }
}

fn repeated_revocations_append_nothing<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "repeats";
    let [store, other, ..] = handles else {
        unreachable!()
    };
    let (key, created) = add(store, record_in(TENANT, "key"));
    let mut log = vec![created];
    revoke(store, &key, Reach::Key, &mut log);
    for (store, reach) in [
        (store, Reach::Key),
        (other, Reach::Key),
        (store, Reach::Descendants),
        (other, Reach::Descendants),
    ] {
        revoke(store, &key, reach, &mut log);
        assert_log(handles, TENANT, &log, "a repeated revocation");
    }
}

/// The event of a call that failed does not affect those of later calls for its key.
fn call_after_a_failure_appends_its_event<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "retries";
    let [store, other, ..] = handles else {
        unreachable!()
    };
    let (key, created) = add(store, record_in(TENANT, "key"));
    let mut log = vec![created];
    let fail = |current: &Record, log: &mut Vec<Event>| {
        let stale = in_version(9, current);
        let failed = event(&key.key, EventKind::Updated);
        let result = store.update_with(&stale, &renamed(&stale), Some(&failed));
        note(log, failed, &result);
    };
    fail(&key, &mut log);
    let updated = event(&key.key, EventKind::Updated);
    append_event(other, &key.key.id, &updated);
    log.push(updated);
    assert_log(handles, TENANT, &log, "an update after a failed one");

    fail(&store.read(&key.key.id), &mut log);
    let current = store.read(&key.key.id);
    let successor = successor_of(&current);
    let replaced = event(&key.key, rotated(&successor));
    store
        .rotate_with(
            &current,
            Retire::At(at(500)),
            &successor,
            now(),
            Some(&replaced),
        )
        .expect("the store failed to rotate a key with an event");
    log.push(replaced);
    assert_log(handles, TENANT, &log, "a rotation after a failed update");

    fail(&current, &mut log);
    revoke(store, &current, Reach::Key, &mut log);
    assert_log(handles, TENANT, &log, "a revocation after a failed update");
}

/// The calls that take no event leave the log as it is, and so does the deletion of a key.
fn other_calls_append_nothing<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "others";
    let [store, ..] = handles else { unreachable!() };
    let (key, created) = add(store, owned(record_in(TENANT, "key"), "user:42"));
    store
        .rehash(&key, &credential(3))
        .expect("the store failed to rehash a key");
    store.touch(&[(key.key.id, at(1))]);
    let reservation = Reservation::new([17; 32], [0; 32], unused_id(), at(1_000));
    store.reserve(&reservation, now());
    let mut log = vec![created];
    revoke(store, &key, Reach::Key, &mut log);
    assert_log(handles, TENANT, &log, "calls without events");

    let purge = Purge::new(100)
        .with_revoked_before(at(1))
        .with_workspace(key.key.workspace.clone());
    store.purge(&purge);
    assert_log(handles, TENANT, &log, "a purge of the key");
}

fn changes_without_an_event_append_nothing<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "silence";
    let [store, ..] = handles else { unreachable!() };
    let key = record_in(TENANT, "key");
    let child = child_of(&key);
    for record in [&key, &child] {
        store
            .insert_with(record, now(), None)
            .expect("the store rejected a new key without an event");
    }
    store
        .update_with(&key, &renamed(&key), None)
        .expect("the store failed to update a key without an event");
    let key = store.read(&key.key.id);
    let successor = successor_of(&key);
    store
        .rotate_with(&key, Retire::At(at(500)), &successor, now(), None)
        .expect("the store failed to rotate a key without an event");
    store
        .revoke_with(&successor, Reach::Key, now(), None)
        .expect("the store failed to revoke a key without an event");
    store
        .revoke_with(&key, Reach::Descendants, now(), None)
        .expect("the store failed to revoke a key and its child without an event");
    assert_log(handles, TENANT, &[], "changes without events");
    for record in [&key, &child, &successor] {
        assert_eq!(
            history(store, &record.key),
            [],
            "a change without an event appended one"
        );
    }
}
