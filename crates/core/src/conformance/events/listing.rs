//! Lists of events, page by page.

use super::log::{add, append, event_at, everything, purge_all, revoke, selected, walk};
use crate::{
    Environment, Event, EventId, EventKind, EventOrder, Key, ListEvents, Owner, Reach,
    conformance::{
        fixture::{at, event, owned, record_in, unused_id, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::{PurgeEvents, Record},
};

const ORDERS: [EventOrder; 2] = [EventOrder::NewestFirst, EventOrder::OldestFirst];

/// Tests lists of events.
pub(super) fn listing<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    let [store, other, _] = handles;
    pages_of_each_filter(store);
    events_are_ordered_by_id(store);
    cursor_need_not_be_an_existing_event(store);
    for order in ORDERS {
        pages_are_stable_under_appends(store, other, order);
        pages_are_stable_under_purges(store, other, order);
    }
}

fn live<H: Harness>(store: &Handle<'_, H>, tenant: &str, list: &ListEvents<EventId>) -> Vec<Event> {
    walk(store, &workspace(tenant), Environment::Live, list, |_| ())
}

/// Returns a key with this owner in an environment.
fn key_of(tenant: &str, owner: Option<&str>, environment: Environment) -> Record {
    let mut record = record_in(tenant, "key");
    record.key.environment = environment;
    match owner {
        Some(owner) => owned(record, owner),
        None => record,
    }
}

/// Compares the pages of each combination of filters with the log, in workspaces and with owners
/// that a careless comparison confuses.
fn pages_of_each_filter<H: Harness>(store: &Handle<'_, H>) {
    const TENANTS: [&str; 4] = ["pages", "PAGES", "page", "pages:x"];
    const OWNERS: [&str; 4] = ["user:1", "user:10", "User:1", "user_1"];
    let mut log: Vec<Event> = Vec::new();
    let mut keys: Vec<Key> = Vec::new();
    for tenant in TENANTS {
        let [first, second, ..] = OWNERS;
        for (owner, environment) in [
            (Some(first), Environment::Live),
            (Some(first), Environment::Test),
            (Some(second), Environment::Live),
            (Some(OWNERS[2]), Environment::Live),
            (Some(OWNERS[3]), Environment::Test),
            (None, Environment::Live),
            (None, Environment::Test),
        ] {
            let (record, created) = add(store, key_of(tenant, owner, environment));
            log.push(created);
            keys.push(record.key);
        }
    }
    // The events of the keys alternate, so that no filter selects neighbours only.
    for round in 0..2 {
        for key in keys.iter().skip(round).step_by(2) {
            let updated = event(key, EventKind::Updated);
            append(store, &key.id, &updated);
            log.push(updated);
        }
    }
    revoke(store, &store.read(&keys[0].id), Reach::Key, &mut log);

    let owners = OWNERS.map(|owner| Some(Owner::parse(owner).unwrap()));
    let owners: Vec<Option<Owner>> = owners.into_iter().chain([None]).collect();
    // A live key and a test key of the first workspace, and a key of another workspace.
    let filtered = [None, Some(keys[0].id), Some(keys[1].id), Some(keys[7].id)];
    for tenant in TENANTS.map(workspace) {
        for environment in [Environment::Live, Environment::Test] {
            for order in ORDERS {
                for owner in &owners {
                    for key in filtered {
                        let mut list = everything().with_order(order);
                        list.owner.clone_from(owner);
                        list.key = key;
                        let expected = selected(&log, &tenant, environment, &list);
                        for limit in [2, u32::MAX] {
                            list.limit = limit;
                            let walked = walk(store, &tenant, environment, &list, |_| ());
                            assert_eq!(
                                walked, expected,
                                "listed the wrong events of {tenant} for a {environment} caller, \
                                 for {list:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    for order in ORDERS {
        for limit in 1..=8 {
            for list in lists_of(&keys[0], order, limit) {
                assert_eq!(
                    live(store, "pages", &list),
                    selected(&log, &keys[0].workspace, Environment::Live, &list),
                    "pages of {limit} do not show each event exactly once"
                );
            }
        }
    }
}

/// The events are appended in another order than that of their ids, as servers with different
/// clocks do.
fn events_are_ordered_by_id<H: Harness>(store: &Handle<'_, H>) {
    const TENANT: &str = "order";
    let (key, created) = add(store, owned(record_in(TENANT, "key"), "user:42"));
    // In ASCII, digits sort before upper case, and upper case before lower case.
    let oldest_first = [
        (-2_000, b"00000"),
        (-1_000, b"00009"),
        (-1_000, b"0000A"),
        (-1_000, b"0000Z"),
        (-1_000, b"0000a"),
        (-1_000, b"000Aa"),
        (-1_000, b"aAAAA"),
        (5_000_000_000, b"00000"),
    ];
    let events =
        oldest_first.map(|(time, last)| event_at(&key.key, EventKind::Updated, at(time), last));
    for index in [5, 0, 7, 3, 1, 6, 2, 4] {
        append(store, &key.key.id, &events[index]);
    }
    let mut log = vec![created];
    log.extend(events);
    for order in ORDERS {
        for limit in [1, 3, 100] {
            for list in lists_of(&key.key, order, limit) {
                assert_eq!(
                    live(store, TENANT, &list),
                    selected(&log, &key.key.workspace, Environment::Live, &list),
                    "did not order events by their ids, for {list:?}"
                );
            }
        }
    }
}

fn cursor_need_not_be_an_existing_event<H: Harness>(store: &Handle<'_, H>) {
    const TENANT: &str = "cursors";
    let id = |key: &Key| event(key, EventKind::Updated).id;
    let oldest = EventId::from_bytes(unused_id().as_bytes()).unwrap();
    let (key, first) = add(store, record_in(TENANT, "first"));
    let between = id(&key.key);
    let (_, second) = add(store, record_in(TENANT, "second"));
    let newest = id(&key.key);
    let (_, elsewhere) = add(store, record_in("cursors/other", "of another workspace"));
    let smallest = EventId::from_bytes(&[b'0'; 16]).unwrap();
    let greatest = EventId::from_bytes(&[b'z'; 16]).unwrap();
    for cursor in [
        oldest,
        first.id,
        between,
        second.id,
        newest,
        elsewhere.id,
        smallest,
        greatest,
    ] {
        for order in ORDERS {
            let list = everything().with_order(order).with_after(cursor);
            let mut expected: Vec<Event> = [&first, &second]
                .into_iter()
                .filter(|event| match order {
                    EventOrder::NewestFirst => event.id < cursor,
                    EventOrder::OldestFirst => event.id > cursor,
                })
                .cloned()
                .collect();
            if order == EventOrder::NewestFirst {
                expected.reverse();
            }
            assert_eq!(
                live(store, TENANT, &list),
                expected,
                "listed the wrong events after the cursor {cursor}, for {list:?}"
            );
        }
    }
}

fn order_name(order: EventOrder) -> &'static str {
    match order {
        EventOrder::NewestFirst => "newest",
        EventOrder::OldestFirst => "oldest",
    }
}

/// Returns the lists of one workspace that contain all events of this key.
fn lists_of(key: &Key, order: EventOrder, limit: u32) -> [ListEvents<EventId>; 3] {
    let list = everything().with_order(order).with_limit(limit);
    [
        list.clone(),
        list.clone().with_key(key.id),
        list.with_owner(key.owner.clone().unwrap()),
    ]
}

/// Adds a key with 10 events to a workspace that the rest of the suite does not use.
fn add_events<H: Harness>(store: &Handle<'_, H>, tenant: &str) -> (Key, Vec<Event>) {
    let (record, created) = add(store, owned(record_in(tenant, "key"), "user:42"));
    let mut events = vec![created];
    for _ in 1..10 {
        let updated = event(&record.key, EventKind::Updated);
        append(store, &record.key.id, &updated);
        events.push(updated);
    }
    (record.key, events)
}

fn pages_are_stable_under_appends<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
    order: EventOrder,
) {
    let tenant = format!("appends/{}", order_name(order));
    let (key, mut log) = add_events(store, &tenant);
    for list in lists_of(&key, order, 3) {
        let before = log.clone();
        let mut appended = 0;
        let walked = walk(store, &workspace(&tenant), Environment::Live, &list, |_| {
            // Stop after a while: in this order, the walk reaches the new events.
            if appended < 4 {
                let updated = event(&key, EventKind::Updated);
                append(other, &key.id, &updated);
                log.push(updated);
                appended += 1;
            }
        });
        let expected = match order {
            EventOrder::NewestFirst => before.into_iter().rev().collect(),
            EventOrder::OldestFirst => log.clone(),
        };
        assert_eq!(
            walked, expected,
            "appends between pages changed which events a walk shows, for {list:?}"
        );
    }
}

fn pages_are_stable_under_purges<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
    order: EventOrder,
) {
    for index in 0..3 {
        let tenant = format!("purges/{}/{index}", order_name(order));
        let (key, log) = add_events(store, &tenant);
        let list = &lists_of(&key, order, 3)[index];
        let mut shown = 0;
        let walked = walk(
            store,
            &workspace(&tenant),
            Environment::Live,
            list,
            |page| {
                shown += page.events.len();
                let deleted = match order {
                    // Delete all that the walk has not shown yet.
                    EventOrder::NewestFirst if shown >= 6 => log.len() - shown,
                    EventOrder::NewestFirst => 0,
                    // Delete all that the walk has shown, with the cursor.
                    EventOrder::OldestFirst => shown,
                };
                if let Some(last) = deleted.checked_sub(1).and_then(|last| log.get(last)) {
                    // Each event of the log is a millisecond newer than the previous one.
                    let before = last
                        .created_at()
                        .saturating_add(std::time::Duration::from_millis(1));
                    let purge = PurgeEvents::new(before, 1_000).with_workspace(workspace(&tenant));
                    purge_all(other, &purge);
                }
            },
        );
        let expected: Vec<Event> = match order {
            EventOrder::NewestFirst => log.iter().rev().take(shown).cloned().collect(),
            EventOrder::OldestFirst => log.clone(),
        };
        assert!(
            shown >= 6,
            "a walk ended before it had shown the remaining events"
        );
        assert_eq!(
            walked, expected,
            "purges between pages changed which remaining events a walk shows, for {list:?}"
        );
    }
}
