//! A store without an event log.

use super::log::everything;
use crate::{
    EventKind, EventOrder, EventPage, Reach, Timestamp,
    conformance::{
        fixture::{event, name, now, owned, record_in, revoked, rotated, successor_of, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::{PurgeEvents, Retire},
};

/// Tests that a store without an event log makes changes, and lists and deletes no events.
pub(super) fn no_log<H: Harness>(store: &Handle<'_, H>) {
    let key = owned(record_in("no-log", "key"), "user:42");
    let created = event(&key.key, EventKind::Created);
    store
        .insert_with(&key, now(), Some(&created))
        .expect("a store without an event log rejected a new key with an event");
    let mut changed = key.key.clone();
    changed.name = name("new");
    let updated = event(&key.key, EventKind::Updated);
    store
        .update_with(&key, &changed, Some(&updated))
        .expect("a store without an event log rejected an update with an event");
    let key = store.read(&key.key.id);
    let successor = successor_of(&key);
    let replaced = event(&key.key, rotated(&successor));
    store
        .rotate_with(&key, Retire::Now, &successor, now(), Some(&replaced))
        .expect("a store without an event log rejected a rotation with an event");
    let ended = event(&successor.key, revoked(Reach::Key));
    store
        .revoke_with(&successor, Reach::Key, now(), Some(&ended))
        .expect("a store without an event log rejected a revocation with an event");

    let owner = key.key.owner.clone().unwrap();
    for list in [
        everything(),
        everything().with_order(EventOrder::NewestFirst),
        everything().with_key(key.key.id),
        everything().with_owner(owner),
        everything().with_after(created.id),
    ] {
        let page = store.events(&workspace("no-log"), &list);
        assert_eq!(
            page,
            EventPage::new(Vec::new(), None),
            "a store without an event log listed events, for {list:?}"
        );
    }
    let count = store.purge_events(&PurgeEvents::new(Timestamp::MAX, 100));
    assert_eq!(count, 0, "a store without an event log deleted events");
}
