//! A change whose future is dropped has its event, or did not happen.

use super::log::{everything, walk};
use crate::{
    Environment, Event, EventKind, Key, Reach,
    conformance::{
        clock::drop_after,
        fixture::{
            at, child_of, event, name, now, record_in, revoked, rotated, successor_of, workspace,
        },
        handle::Handle,
        harness::Harness,
    },
    store::{Record, Retire, Rotation, Settings},
};

const TENANT: &str = "dropped";

/// Tests changes whose futures are dropped after some polls.
pub(super) fn dropped<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    for polls in [0, 1, 2, 3, 10, 100] {
        dropped_after(handles, polls);
    }
}

fn dropped_after<H: Harness>(handles: &[Handle<'_, H>; 3], polls: usize) {
    let [store, other, _] = handles;
    let check = |call: &str, event: &Event, is_changed: &dyn Fn(&Record) -> bool| {
        // The store may still be completing the call, so a later read may show more of it.
        let early = has_event(other, event);
        let changed = other.find(&event.key).as_ref().is_some_and(is_changed);
        let late = has_event(other, event);
        assert!(
            changed || !early,
            "{call} that was dropped after {polls} polls left an event without its change"
        );
        assert!(
            late || !changed,
            "{call} that was dropped after {polls} polls left a change without its event"
        );
    };
    let tenant = workspace(TENANT);

    let new = record_in(TENANT, "inserted");
    let created = event(&new.key, EventKind::Created);
    let insert = store.store().insert(&new, now(), Some(&created));
    store.wait(drop_after(polls, insert));
    check("an insert", &created, &|_| true);

    let key = store.add(record_in(TENANT, "updated")).key;
    let updated = event(&key, EventKind::Updated);
    let settings = Settings::from(&Key {
        name: name("new"),
        ..key.clone()
    });
    let update = store
        .store()
        .update(&tenant, &key.id, 1, &settings, Some(&updated));
    store.wait(drop_after(polls, update));
    check("an update", &updated, &|found| found.version > 1);

    let predecessor = store.add(record_in(TENANT, "rotated"));
    let key = &predecessor.key;
    let successor = successor_of(&predecessor);
    let replaced = event(key, rotated(&successor));
    let rotation = Rotation::new(key.id, 1, Retire::At(at(500)), successor);
    let rotate = store
        .store()
        .rotate(&tenant, &rotation, now(), Some(&replaced));
    store.wait(drop_after(polls, rotate));
    check("a rotation", &replaced, &|found| {
        found.key.successor.is_some()
    });

    for reach in [Reach::Key, Reach::Descendants] {
        let root = store.add(record_in(TENANT, "revoked"));
        store.add(child_of(&root));
        let key = &root.key;
        let ended = event(key, revoked(reach));
        let revoke = store
            .store()
            .revoke(&tenant, &key.id, reach, now(), Some(&ended));
        store.wait(drop_after(polls, revoke));
        check("a revocation", &ended, &|found| {
            found.key.revoked_at.is_some()
        });
    }
}

fn has_event<H: Harness>(store: &Handle<'_, H>, event: &Event) -> bool {
    let list = everything().with_key(event.key);
    let events = walk(store, &event.workspace, Environment::Live, &list, |_| ());
    events.iter().any(|listed| listed.id == event.id)
}
