//! An event that cannot be read back is `Corrupt`.

use super::log::{add, append, everything, walk};
use crate::{
    Environment, Event, EventId, EventKind, EventOrder, ListEvents,
    conformance::{
        fixture::{assert_rejected, event, owned, record_in, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::{Durability, StoreErrorKind},
};

const TENANT: &str = "damaged-log";

/// Tests lists that contain a damaged event, and lists next to it.
pub(super) fn damage<H: Harness>(harness: &H, store: &Handle<'_, H>) {
    let (key, created) = add(store, owned(record_in(TENANT, "key"), "user:42"));
    let mut log = vec![created];
    for _ in 0..4 {
        let updated = event(&key.key, EventKind::Updated);
        append(store, &key.key.id, &updated);
        log.push(updated);
    }
    let (neighbour, kept) = add(store, owned(record_in(TENANT, "neighbour"), "user:43"));
    let (_, foreign) = add(store, record_in("undamaged-log", "foreign"));
    let damaged = &log[2];
    if !harness.damage_event(&damaged.id) {
        assert_eq!(
            store.store().durability(),
            Durability::Process,
            "a store that outlives its process must allow its harness to damage an event"
        );
        return;
    }

    let later = Handle::open(harness);
    for store in [store, &later] {
        for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
            let all = everything().with_order(order);
            for list in [
                all.clone(),
                all.clone().with_key(key.key.id),
                all.clone().with_owner(key.key.owner.clone().unwrap()),
            ] {
                assert_corrupt(store, list);
            }
            for (tenant, list, expected) in [
                (TENANT, all.clone().with_key(neighbour.key.id), &kept),
                (
                    TENANT,
                    all.clone().with_owner(neighbour.key.owner.clone().unwrap()),
                    &kept,
                ),
                ("undamaged-log", all.clone(), &foreign),
            ] {
                assert_eq!(
                    live(store, tenant, &list),
                    std::slice::from_ref(expected),
                    "listed the wrong events next to a damaged one"
                );
            }
        }
        // A page that ends before the damaged event.
        let page = store.events(&workspace(TENANT), &everything().with_limit(1));
        assert_eq!(
            page.events,
            [log[0].clone()],
            "listed the wrong events before a damaged one"
        );
    }

    let updated = event(&key.key, EventKind::Updated);
    append(store, &key.key.id, &updated);
    let newest = everything().with_key(key.key.id).with_after(log[2].id);
    assert_eq!(
        live(store, TENANT, &newest),
        [log[3].clone(), log[4].clone(), updated],
        "listed the wrong events after a damaged one"
    );
}

fn live<H: Harness>(store: &Handle<'_, H>, tenant: &str, list: &ListEvents<EventId>) -> Vec<Event> {
    walk(store, &workspace(tenant), Environment::Live, list, |_| ())
}

/// Fails unless a page that contains a damaged event is `Corrupt`.
#[track_caller]
fn assert_corrupt<H: Harness>(store: &Handle<'_, H>, list: ListEvents<EventId>) {
    let listed = store.wait(
        store
            .store()
            .events(&workspace(TENANT), Environment::Live, &list),
    );
    if let Err(error) = &listed {
        assert!(
            std::error::Error::source(error).is_some(),
            "returned an error without a cause for an event that cannot be read back"
        );
    }
    let call = format!("a list that contains a damaged event, {list:?}");
    assert_rejected(listed, StoreErrorKind::Corrupt, &call);
}
