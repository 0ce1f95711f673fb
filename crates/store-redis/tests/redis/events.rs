//! Events: their entries, their costs, and the remains of changes that were not made.

use futures_executor::block_on;
use keywright_core::{
    EventKind, EventOrder, ListEvents, Reach, Timestamp, Workspace,
    store::{KeyStore, PurgeEvents, Record, Retire, Rotation, StoreErrorKind},
};
use keywright_store_redis::RedisStore;
use redis::Commands;

use crate::{
    events, history, insert, is_revoked, names, revoke, revoke_all, revoked, sample,
    support::{Cluster, Server, calls, without_reconnects},
    try_revoke, try_update,
};

/// Returns the number of entries in the index of the workspace.
fn entries(server: &Server) -> usize {
    server.redis().zcard(names::EVENT_INDEX).unwrap()
}

fn purge(store: &RedisStore, limit: u32) -> u64 {
    block_on(store.purge_events(&PurgeEvents::new(Timestamp::MAX, limit))).unwrap()
}

#[test]
fn a_change_that_is_not_made_leaves_no_event_and_no_entry() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let mut renamed = record.key.clone();
    renamed.enabled = false;
    let updated = block_on(try_update(&store, &record, &renamed)).unwrap();
    let kept = events(&store, ListEvents::new());
    assert_eq!(kept.len(), 2);

    let created = sample::event(&record.key, EventKind::Created);
    let taken = block_on(store.insert(&record, sample::now(), Some(&created))).unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::AlreadyExists);
    let conflict = block_on(try_update(&store, &record, &renamed)).unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict);
    let successor = sample::successor_of(&record);
    let kind = EventKind::Rotated {
        successor: successor.key.id,
    };
    let rotation = Rotation::new(record.key.id, updated.version, Retire::Now, successor);
    let rotated = sample::event(&record.key, kind);
    let workspace = sample::workspace();
    let rotate = store.rotate(&workspace, &rotation, sample::now(), Some(&rotated));
    let conflict = block_on(rotate).unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict, "it is disabled");
    let unknown = sample::record();
    let not_found = block_on(try_revoke(&store, &unknown)).unwrap_err();
    assert_eq!(not_found.kind(), StoreErrorKind::NotFound);
    assert_eq!(events(&store, ListEvents::new()), kept);
    assert_eq!(entries(&server), 2);

    revoke(&store, &record);
    for _ in 0..2 {
        revoke(&store, &record);
        assert_eq!(revoke_all(&store, &record), 0);
    }
    assert_eq!(events(&store, ListEvents::new()).len(), 3);
    assert_eq!(entries(&server), 3);
}

#[test]
fn an_event_that_cannot_be_stored_prevents_its_change() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let index = names::events_of_key(&record.key.id);
    let () = server.redis().set(&index, "no index").unwrap();
    let mut paused = record.key.clone();
    paused.enabled = false;
    for error in [
        block_on(try_update(&store, &record, &paused)).unwrap_err(),
        block_on(try_revoke(&store, &record)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
    assert_eq!(crate::find(&store, &record.key.id), Some(record));
    assert_eq!(events(&store, ListEvents::new()).len(), 1);
}

#[test]
fn a_cascade_from_a_revoked_key_has_an_event_if_it_revokes_a_descendant() {
    let cluster = Cluster::start();
    let [here, there] = [(); 2].map(|()| cluster.store());
    let root = insert(&here, sample::record());
    let child = insert(&here, sample::child_of(&root));
    let grandchildren = [(); 4].map(|()| insert(&here, sample::child_of(&child)));
    revoke(&here, &root);
    revoke(&here, &grandchildren[0]);
    assert_eq!(revoke_all(&here, &root), 4);
    assert_eq!(revoke_all(&here, &root), 0);
    for record in grandchildren.iter().chain([&child]) {
        assert!(is_revoked(&there, &record.key.id));
    }
    let expected = [EventKind::Created, revoked(false, 1), revoked(true, 4)];
    assert_eq!(history(&there, &root.key.id), expected);
    assert_eq!(events(&there, ListEvents::new()).len(), 6 + 3);
}

#[test]
fn a_cascade_that_fails_has_an_event_without_a_count() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&root));
    let () = server
        .redis()
        .set(names::record(&child.key.id), "cut off")
        .unwrap();
    let event = sample::revocation(&root.key, Reach::Descendants);
    let (workspace, reach) = (sample::workspace(), Reach::Descendants);
    let revoking = store.revoke(&workspace, &root.key.id, reach, sample::now(), Some(&event));
    assert_eq!(
        block_on(revoking).unwrap_err().kind(),
        StoreErrorKind::Corrupt
    );
    let kind = EventKind::Revoked {
        cascade: true,
        count: None,
    };
    assert_eq!(history(&store, &root.key.id), [EventKind::Created, kind]);
}

#[test]
fn lists_skip_entries_without_an_event_and_continue_after_a_purged_event() {
    let server = Server::start();
    let store = server.store();
    let owner = sample::owner("user:1");
    let records = [(); 4].map(|()| insert(&store, sample::owned_by(&owner)));
    let ids: Vec<_> = events(&store, ListEvents::new())
        .iter()
        .map(|event| event.id)
        .collect();
    let dangling = sample::event(&records[0].key, EventKind::Updated).id;
    for index in [
        names::EVENT_INDEX.to_owned(),
        names::event_index_of_owner(&owner),
        names::events_of_key(&records[0].key.id),
    ] {
        let () = server.redis().zadd(index, dangling.as_bytes(), 0).unwrap();
    }
    for list in [ListEvents::new(), ListEvents::new().with_owner(owner)] {
        for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
            let list = list.clone().with_order(order).with_limit(1);
            assert_eq!(events(&store, list.clone()).len(), 4);
            let after = events(&store, list.with_after(dangling));
            let expected = if order == EventOrder::NewestFirst {
                4
            } else {
                0
            };
            assert_eq!(after.len(), expected);
        }
    }
    assert_eq!(history(&store, &records[0].key.id), [EventKind::Created]);
    // The next page begins after an event that was purged in the meantime.
    let before = ids[1].created_at();
    let purge = PurgeEvents::new(before, 10);
    assert_eq!(block_on(store.purge_events(&purge)).unwrap(), 2);
    assert_eq!(block_on(store.purge_events(&purge)).unwrap(), 0);
    let list = ListEvents::new().with_order(EventOrder::OldestFirst);
    let rest = events(&store, list.with_after(ids[2]));
    assert_eq!(rest.len(), 2);
    assert_eq!([rest[0].id, rest[1].id], [ids[1], ids[0]]);
}

#[test]
fn a_damaged_event_is_corrupt_until_it_is_purged() {
    let server = Server::start();
    let store = server.store();
    let records = [(); 3].map(|()| insert(&store, sample::record()));
    let listed = events(&store, ListEvents::new());
    let damaged = &listed[1];
    for text in ["{", "{}", &serde_json::to_string(&listed[0]).unwrap()] {
        let () = server.redis().set(names::event(&damaged.id), text).unwrap();
        for list in [ListEvents::new(), ListEvents::new().with_key(damaged.key)] {
            let workspace = sample::workspace();
            let page = store.events(&workspace, damaged.environment, &list);
            assert_eq!(
                block_on(page).unwrap_err().kind(),
                StoreErrorKind::Corrupt,
                "{text}"
            );
        }
    }
    assert_eq!(history(&store, &records[0].key.id), [EventKind::Created]);
    assert_eq!(purge(&store, 10), 3);
    assert_eq!(events(&store, ListEvents::new()), []);
    assert_eq!(history(&store, &damaged.key), []);
    assert_eq!(entries(&server), 0);
}

#[test]
fn a_purge_deletes_what_an_interrupted_purge_has_left() {
    let server = Server::start();
    let store = server.store();
    let owner = sample::owner("user:1");
    let record = insert(&store, sample::owned_by(&owner));
    let event = &events(&store, ListEvents::new())[0];
    for index in [
        names::event_index_of_owner(&owner),
        names::events_of_key(&record.key.id),
    ] {
        let removed: usize = server.redis().zrem(index, event.id.as_bytes()).unwrap();
        assert_eq!(removed, 1);
    }
    assert_eq!(purge(&store, 10), 1);
    assert_eq!(entries(&server), 0);
    let left: bool = server.redis().exists(names::event(&event.id)).unwrap();
    assert!(!left);
}

#[test]
fn a_purge_of_all_workspaces_continues_where_the_last_call_has_reached_its_limit() {
    const WORKSPACES: usize = 40;
    const NAMES: usize = 20_000;
    const STEP: usize = 1000;
    let server = Server::start();
    let store = server.store();
    for number in 0..WORKSPACES {
        let mut record = sample::record();
        record.key.workspace = Workspace::parse(&format!("w{number}")).unwrap();
        insert(&store, record);
    }
    let fill = format!("for number = 1, {NAMES} do redis.call('SET', 'other:' .. number, '') end");
    let () = redis::cmd("EVAL")
        .arg(fill)
        .arg(0)
        .query(&mut server.redis())
        .unwrap();
    let scans = |server: &Server| usize::try_from(calls(server, "scan")).unwrap();
    let before = scans(&server);
    for _ in 0..WORKSPACES {
        assert_eq!(purge(&store, 1), 1);
    }
    assert_eq!(purge(&store, 1), 0);
    let sent = scans(&server) - before;
    println!("{sent} steps of scans for {WORKSPACES} calls and {NAMES} names");
    // The first scan, and one that finds nothing.
    assert!(sent <= 3 * NAMES / STEP, "{sent}");
    // A purge that begins later scans all names.
    insert(&store, sample::record());
    assert_eq!(purge(&store, 1), 1);
    insert(&store, sample::record());
    assert_eq!(purge(&store, 10), 1);
    assert_eq!(purge(&store, 10), 0);
}

#[test]
fn events_are_purged_by_time_and_workspace_on_all_servers_of_a_cluster() {
    const EACH: u64 = 5;
    let cluster = Cluster::start();
    let store = cluster.store();
    let workspaces: Vec<Workspace> = (0..12)
        .map(|number| Workspace::parse(&format!("w{number}")).unwrap())
        .collect();
    for _ in 0..EACH {
        for workspace in &workspaces {
            let mut record = sample::record();
            record.key.workspace = workspace.clone();
            insert(&store, record);
        }
    }
    let all = PurgeEvents::new(Timestamp::MAX, 7);
    let purge_all = |purge: &PurgeEvents| {
        let calls = std::iter::repeat_with(|| block_on(store.purge_events(purge)).unwrap());
        calls.take_while(|count| *count > 0).sum::<u64>()
    };
    assert_eq!(
        purge_all(&all.clone().with_workspace(workspaces[0].clone())),
        EACH
    );
    let early = PurgeEvents::new(Timestamp::from_millis(0).unwrap(), 7);
    assert_eq!(purge_all(&early), 0);
    assert_eq!(purge_all(&all), 11 * EACH);
    for server in &cluster.servers {
        let mut redis = server.redis();
        for kind in ['k', 'l', 'w', 'x', 'y', 'z'] {
            let left: Vec<String> = redis.keys(format!("kw:{kind}:*")).unwrap();
            assert_eq!(left, Vec::<String>::new());
        }
    }
}

/// Creates keys with an owner, and returns how often the server has read from a connection, without
/// the reads of heartbeats: each is one command.
fn reads_of_creations(server: &Server, store: &RedisStore, creations: u64, event: bool) -> u64 {
    let reads = || {
        let stats: String = server.run("INFO stats").unwrap();
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_reads_processed:"));
        let all: u64 = line.unwrap().trim().parse().unwrap();
        all - calls(server, "getex")
    };
    let before = reads();
    for _ in 0..creations {
        let record: Record = sample::owned_by(&sample::owner("user:1"));
        let created = sample::event(&record.key, EventKind::Created);
        let created = event.then_some(&created);
        block_on(store.insert(&record, sample::now(), created)).unwrap();
    }
    reads() - before
}

#[test]
fn a_creation_on_a_single_server_takes_one_round_trip_with_or_without_its_event() {
    const CREATIONS: u64 = 400;
    let server = Server::with(&["--appendfsync", "no"]);
    let store = server.store();
    // The server caches the script.
    reads_of_creations(&server, &store, 1, true);
    let [without, with] =
        [false, true].map(|event| reads_of_creations(&server, &store, CREATIONS, event));
    println!("{CREATIONS} creations: {without} reads without events, {with} with events");
    // The rest are retries and new connections.
    let most = CREATIONS + CREATIONS / 2;
    assert!(without < most && with < most);
}

#[test]
fn a_page_of_events_costs_as_much_as_its_events_among_those_of_other_keys_and_owners() {
    let server = Server::with(&["--appendfsync", "no"]);
    let store = server.store();
    let owner = sample::owner("user:1");
    let record = insert(&store, sample::owned_by(&owner));
    for _ in 0..300 {
        insert(&store, sample::record());
    }
    let reads = |list: &ListEvents<_>| {
        let before = calls(&server, "get");
        let workspace = sample::workspace();
        let page = block_on(store.events(&workspace, record.key.environment, list)).unwrap();
        (page.events.len(), calls(&server, "get") - before)
    };
    let of_key = ListEvents::new().with_key(record.key.id);
    let lists = [
        (ListEvents::new().with_limit(10), (10, 11)),
        (ListEvents::new().with_owner(owner), (1, 1)),
        (of_key.clone(), (1, 1)),
        (of_key.with_owner(sample::owner("user:2")), (0, 1)),
    ];
    // A store that reconnects reads an event again.
    without_reconnects(&server, || {
        for (list, expected) in &lists {
            let found = reads(list);
            if found != *expected {
                return Err(format!("{list:?}: {found:?}, not {expected:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn an_event_takes_at_most_twice_the_memory_of_its_record() {
    const KEYS: u64 = 2000;
    let server = Server::with(&["--appendfsync", "no"]);
    let store = server.store();
    let used = || {
        let memory: String = server.run("INFO memory").unwrap();
        let mut lines = memory.lines();
        let line = lines.find_map(|line| line.strip_prefix("used_memory_dataset:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let bytes_of_creations = |event| {
        let before = used();
        reads_of_creations(&server, &store, KEYS, event);
        (used() - before) / KEYS
    };
    let [record, both] = [false, true].map(bytes_of_creations);
    println!(
        "{record} bytes for a record, {} for its event",
        both - record
    );
    assert!(both <= 3 * record);
}
