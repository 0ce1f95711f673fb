//! Old events are deleted, and no others.

use super::log::{add, append, assert_log, event_at, history, purge_all};
use crate::{
    Event, EventKind, Key, Timestamp,
    conformance::{
        fixture::{at, event, now, owned, record_in, workspace},
        handle::{Handle, race},
        harness::Harness,
    },
    store::{PurgeEvents, Record},
};

/// Tests the deletion of events.
pub(super) fn purge<H: Harness>(handles: &[Handle<'_, H>; 3]) {
    purge_deletes_the_events_before_the_time(handles);
    purge_of_one_workspace_leaves_the_others(handles);
    purge_of_all_workspaces(handles);
    purge_deletes_no_more_than_the_limit(handles);
    concurrent_purges_count_each_event_once(handles);
}

/// Adds a key with an event at each of these times, and returns the events.
fn add_at<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &str,
    times: &[Timestamp],
) -> (Key, Vec<Event>) {
    let record = owned(record_in(tenant, "key"), "user:42");
    let mut events = Vec::new();
    for (number, time) in times.iter().enumerate() {
        let last: [u8; 5] = format!("{number:05}").into_bytes().try_into().unwrap();
        if number == 0 {
            let created = event_at(&record.key, EventKind::Created, *time, &last);
            store
                .insert_with(&record, now(), Some(&created))
                .expect("the store rejected a new key with an event");
            events.push(created);
        } else {
            let updated = event_at(&record.key, EventKind::Updated, *time, &last);
            append(store, &record.key.id, &updated);
            events.push(updated);
        }
    }
    (record.key, events)
}

fn purge_deletes_the_events_before_the_time<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANT: &str = "purge";
    let [store, ..] = handles else { unreachable!() };
    // Two events are from one millisecond.
    let times = [-1_000, -2, -1, -1, 0, 1].map(at);
    let (key, log) = add_at(store, TENANT, &times);
    let record: Record = store.read(&key.id);
    let purge = |before| PurgeEvents::new(before, 100).with_workspace(workspace(TENANT));
    let first = times[0];
    assert_eq!(
        purge_all(store, &purge(first)),
        0,
        "purged events from an empty period"
    );
    assert_log(handles, TENANT, &log, "a purge before the first event");
    assert_eq!(
        purge_all(store, &purge(now())),
        4,
        "did not count exactly the events before the time"
    );
    assert_log(handles, TENANT, &log[4..], "a purge");
    assert_eq!(
        store.read(&key.id),
        record,
        "a purge of events changed a record"
    );
    // The log continues.
    let updated = event(&key, EventKind::Updated);
    append(store, &key.id, &updated);
    let mut log = log[4..].to_vec();
    log.push(updated);
    assert_log(handles, TENANT, &log, "an update after a purge");
}

fn purge_of_one_workspace_leaves_the_others<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANTS: [&str; 4] = ["purge-one", "PURGE-ONE", "purge-on", "purge-one2"];
    let [store, ..] = handles else { unreachable!() };
    let times = [-2, -1].map(at);
    let logs = TENANTS.map(|tenant| add_at(store, tenant, &times).1);
    let purge = PurgeEvents::new(Timestamp::MAX, 100).with_workspace(workspace(TENANTS[0]));
    assert_eq!(
        purge_all(store, &purge),
        2,
        "did not count exactly the events of the workspace"
    );
    assert_log(handles, TENANTS[0], &[], "a purge of the workspace");
    for (tenant, log) in TENANTS.into_iter().zip(&logs).skip(1) {
        assert_log(handles, tenant, log, "a purge of another workspace");
    }
}

fn purge_of_all_workspaces<H: Harness>(handles: &[Handle<'_, H>]) {
    const TENANTS: [&str; 3] = ["purge-all/1", "purge-all/2", "purge-all/3"];
    let [store, ..] = handles else { unreachable!() };
    // In 2001, before all other events of the suite.
    let old = [0, 1, 2].map(|millis| Timestamp::from_millis(1_000_000_000_000 + millis).unwrap());
    let [first, second, third] = old;
    let logs = TENANTS.map(|tenant| add_at(store, tenant, &[first, second, third, now()]).1);
    assert_eq!(
        purge_all(store, &PurgeEvents::new(third, 100)),
        6,
        "did not count exactly the events of all workspaces"
    );
    for (tenant, log) in TENANTS.into_iter().zip(&logs) {
        assert_log(handles, tenant, &log[2..], "a purge of all workspaces");
    }
}

fn purge_deletes_no_more_than_the_limit<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    let times: Vec<Timestamp> = (-7..0).map(at).collect();
    for limit in [1, 2, 6, 7, 8] {
        let tenant = format!("limit/{limit}");
        let (key, log) = add_at(store, &tenant, &times);
        let purge = PurgeEvents::new(at(-1), limit).with_workspace(workspace(&tenant));
        let mut left = log.len();
        while left > 1 {
            let count = store.purge_events(&purge);
            assert!(
                count > 0,
                "returned 0 although {} events are left",
                left - 1
            );
            assert!(
                count <= u64::from(limit),
                "deleted {count} events, which is more than the limit of {limit}"
            );
            left -= usize::try_from(count).unwrap();
            assert_eq!(
                history(store, &key).len(),
                left,
                "returned another number of events than it deleted"
            );
        }
        assert_eq!(
            store.purge_events(&purge),
            0,
            "deleted events that are not selected"
        );
        assert_log(handles, &tenant, &log[6..], "purges with a limit");
    }
}

fn concurrent_purges_count_each_event_once<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..5 {
        let tenant = format!("purge-race/{round}");
        let (record, created) = add(store, record_in(&tenant, "key"));
        let mut log = vec![created];
        for _ in 0..9 {
            let updated = event(&record.key, EventKind::Updated);
            append(store, &record.key.id, &updated);
            log.push(updated);
        }
        let purge = PurgeEvents::new(log[8].created_at(), 2).with_workspace(workspace(&tenant));
        let counts = race(handles, 3, |_, store| purge_all(store, &purge));
        assert_eq!(
            counts.iter().sum::<u64>(),
            8,
            "concurrent purges did not count each event once"
        );
        assert_log(handles, &tenant, &log[8..], "concurrent purges");
    }
}
