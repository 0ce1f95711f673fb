//! Another handle never sees a change without its event, nor an event without its change.

use std::sync::atomic::{AtomicBool, Ordering};

use super::log::{add, everything, walk};
use crate::{
    Environment, Event, EventId, EventKind, Key, KeyId, ListEvents, Reach,
    conformance::{
        fixture::{
            at, child_of, event, name, now, owned, record_in, revoked, rotated, successor_of,
        },
        handle::{Handle, race},
        harness::Harness,
    },
    store::{Record, Retire},
};

const TENANT: &str = "same-step";
const OWNER: &str = "user:42";
const ROUNDS: usize = 8;

/// Tests that other handles see a change and its event together.
pub(super) fn same_step<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    let [store, ..] = handles;
    let new_key = || owned(record_in(TENANT, "key"), OWNER);
    for _ in 0..ROUNDS {
        let new = new_key();
        let created = event(&new.key, EventKind::Created);
        watch(
            handles,
            &created,
            &new.key.id,
            |found| found.is_some(),
            |store| {
                store
                    .insert_with(&new, now(), Some(&created))
                    .expect("the store rejected a new key with an event");
            },
        );

        let (key, _) = add(store, new_key());
        let updated = event(&key.key, EventKind::Updated);
        let changed = Key {
            name: name("new"),
            ..key.key.clone()
        };
        watch(
            handles,
            &updated,
            &key.key.id,
            |found| found.is_some_and(|found| found.version > 1),
            |store| {
                store
                    .update_with(&key, &changed, Some(&updated))
                    .expect("the store failed to update a key with an event");
            },
        );

        for retire in [Retire::Now, Retire::At(at(500))] {
            let (key, _) = add(store, new_key());
            let successor = successor_of(&key);
            let replaced = event(&key.key, rotated(&successor));
            watch(
                handles,
                &replaced,
                &key.key.id,
                |found| found.is_some_and(|found| found.key.successor.is_some()),
                |store| {
                    store
                        .rotate_with(&key, retire, &successor, now(), Some(&replaced))
                        .expect("the store failed to rotate a key with an event");
                },
            );
        }

        for reach in [Reach::Key, Reach::Descendants] {
            let (key, _) = add(store, new_key());
            add(store, child_of(&key));
            let ended = event(&key.key, revoked(reach));
            watch(handles, &ended, &key.key.id, is_revoked, |store| {
                store
                    .revoke_with(&key, reach, now(), Some(&ended))
                    .expect("the store failed to revoke a key with an event");
            });
        }
        descendants_are_revoked_after_the_event(handles, new_key());
    }
}

fn is_revoked(found: Option<&Record>) -> bool {
    found.is_some_and(|found| found.key.revoked_at.is_some())
}

/// A cascade that begins at a revoked key may append its event before it revokes a descendant.
fn descendants_are_revoked_after_the_event<H: Harness>(handles: &[Handle<'_, H>], root: Record) {
    let [store, ..] = handles else { unreachable!() };
    let (root, _) = add(store, root);
    let (child, _) = add(store, child_of(&root));
    store.revoke_key(&root);
    let ended = event(&root.key, revoked(Reach::Descendants));
    let lists = lists(&ended);
    while_changing(
        handles,
        |number, store| {
            let is_changed = is_revoked(store.find(&child.key.id).as_ref());
            let has_event = count(store, &ended, &lists[number % lists.len()]) > 0;
            assert!(
                has_event || !is_changed,
                "showed the change before its event: {ended:?}"
            );
        },
        |store| {
            store
                .revoke_with(&root, Reach::Descendants, now(), Some(&ended))
                .expect("the store failed to revoke a key and its descendants with an event");
        },
    );
}

/// The lists of one workspace that contain an event.
fn lists(event: &Event) -> [ListEvents<EventId>; 3] {
    let mut by_owner = everything();
    by_owner.owner.clone_from(&event.owner);
    [everything().with_key(event.key), everything(), by_owner]
}

/// Returns how often a list contains an event.
#[track_caller]
fn count<H: Harness>(store: &Handle<'_, H>, event: &Event, list: &ListEvents<EventId>) -> usize {
    let events = walk(store, &event.workspace, Environment::Live, list, |_| ());
    events.iter().filter(|listed| listed.id == event.id).count()
}

/// Makes a change through one handle, and fails if another handle sees the change without its
/// event, or the event without its change. `is_changed` takes the record `id`.
fn watch<H: Harness>(
    handles: &[Handle<'_, H>],
    event: &Event,
    id: &KeyId,
    is_changed: impl Fn(Option<&Record>) -> bool + Sync,
    change: impl Fn(&Handle<'_, H>) + Sync,
) {
    let lists = lists(event);
    let observe = |number: usize, store: &Handle<'_, H>| {
        let list = &lists[number % lists.len()];
        let early = count(store, event, list);
        let changed = is_changed(store.find(id).as_ref());
        let late = count(store, event, list);
        assert!(
            changed || early == 0,
            "showed the event before its change: {event:?}"
        );
        assert!(
            late > 0 || !changed,
            "showed the change before its event: {event:?}"
        );
        assert!(late <= 1, "listed the event more than once: {event:?}");
    };
    while_changing(handles, observe, change);
    let [store, ..] = handles else { unreachable!() };
    for list in &lists {
        assert_eq!(
            count(store, event, list),
            1,
            "does not list the event of a change once: {event:?}"
        );
    }
}

/// Calls `observe` in several threads, with their numbers, until `change` has returned in another
/// thread, and once more.
fn while_changing<H: Harness>(
    handles: &[Handle<'_, H>],
    observe: impl Fn(usize, &Handle<'_, H>) + Sync,
    change: impl Fn(&Handle<'_, H>) + Sync,
) {
    let is_over = AtomicBool::new(false);
    race(handles, 4, |number, store| {
        if number == 0 {
            let _over = SetOnDrop(&is_over);
            change(store);
            return;
        }
        loop {
            let is_last = is_over.load(Ordering::SeqCst);
            observe(number, store);
            if is_last {
                return;
            }
        }
    });
}

/// Sets a flag when it is dropped, even if the thread panics.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
