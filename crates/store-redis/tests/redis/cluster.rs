//! A cluster whose slots move and whose primaries are replaced.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use futures_executor::block_on;
use keywright_core::{
    Environment, EventKind, KeyId, ListEvents, ListKeys, Owner, Timestamp,
    store::{KeyStore, Purge, Record, Retire, Rotation, StoreErrorKind},
};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    events, find, history, insert, is_revoked, names, revoke, revoke_all, revoked, sample,
    support::{
        Cluster, Copy, LEASE, PATIENCE, Proxy, Server, StopOnDrop, assert_rejected_in_time,
        clustered_server, connect, now, wait_for, wait_until,
    },
    try_update,
};

/// The number of routing tags of the records here. Their slots move.
const TAGS: u32 = 12;
const ROUNDS: usize = 4;

/// Returns the routing tags of the records, and the tag of the entries in the workspace's list.
fn tags() -> impl Iterator<Item = String> {
    let tags = (0..TAGS).map(|tag| format!("{tag:03}"));
    tags.chain(["default".to_owned()])
}

fn tagged(number: u32, mut record: Record) -> Record {
    let own = *record.key.id.as_bytes();
    let tag = format!("{:03}", number % TAGS);
    let bytes = [&own[..8], tag.as_bytes(), &own[11..]].concat();
    record.key.id = KeyId::from_bytes(&bytes).unwrap();
    record
}

#[test]
fn keys_are_rotated_and_revoked_while_their_slots_move() {
    let cluster = Cluster::start();
    let here = cluster.store();
    let there = cluster.store();
    let moving = AtomicBool::new(true);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (here, there, moving) = (&here, &there, &moving);
                scope.spawn(move || {
                    let mut number = worker;
                    let mut rounds = 0;
                    while moving.load(Ordering::SeqCst) {
                        create_rotate_and_revoke(here, there, number);
                        number += 4;
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let stop = StopOnDrop(&moving);
        for round in 0..ROUNDS {
            for tag in tags() {
                let (slot, from) = cluster.slot(&tag);
                cluster.migrate(slot, from, (from + 1 + round % 2) % 3);
            }
        }
        drop(stop);
        let rounds: u32 = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum();
        // Each family has four keys.
        let newest = ListKeys::new().with_limit(1);
        let page = block_on(there.list(
            &sample::workspace(),
            Environment::Live,
            &newest,
            sample::now(),
        ))
        .unwrap();
        assert_eq!(page.total, Some(u64::from(rounds) * 4));
        let changes: HashSet<_> = events(&there, ListEvents::new().with_limit(100))
            .iter()
            .map(|event| (event.key, event.kind.as_str()))
            .collect();
        let listed = events(&there, ListEvents::new().with_limit(100)).len();
        assert_eq!(listed, changes.len(), "one event for each change");
        assert_eq!(listed, rounds as usize * 5);
        println!(
            "{rounds} families of keys while {} slots moved",
            tags().count() * ROUNDS
        );
    });
}

/// Creates, rotates, reads and revokes a family of keys. Each step must succeed completely.
fn create_rotate_and_revoke(here: &RedisStore, there: &RedisStore, number: u32) {
    let root = insert(here, tagged(number, sample::record()));
    let child = insert(here, tagged(number + 1, sample::child_of(&root)));
    let grandchild = insert(here, tagged(number + 2, sample::child_of(&child)));
    let mut copy = Copy::of(there, grandchild.key.id);
    let successor = sample::successor_of(&child);
    let rotation = Rotation::new(
        child.key.id,
        1,
        Retire::At(Timestamp::MAX),
        successor.clone(),
    );
    let kind = EventKind::Rotated {
        successor: successor.key.id,
    };
    let event = sample::event(&child.key, kind);
    block_on(here.rotate(&sample::workspace(), &rotation, sample::now(), Some(&event))).unwrap();
    let predecessor = find(there, &child.key.id).unwrap();
    assert_eq!(predecessor.key.successor, Some(successor.key.id));
    assert_eq!(find(there, &successor.key.id), Some(successor.clone()));

    assert!(copy.accepts_when_available());
    assert_eq!(revoke_all(here, &root), 4);
    assert_eq!(
        history(there, &root.key.id),
        [EventKind::Created, revoked(true, 4)]
    );
    assert_rejected_in_time(now(), || copy.accepts_when_available());
    for id in [root.key.id, child.key.id, successor.key.id] {
        assert!(is_revoked(there, &id), "{id} is not revoked");
    }
}

/// An interrupted reshard leaves a slot like this.
#[test]
fn a_slot_that_stays_partly_migrated_accepts_creations_reads_and_revocations() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let (slot, from) = cluster.slot("000");
    let to = (from + 1) % 3;
    let used_at = sample::now();
    let mut records: Vec<Record> = (0..4)
        .map(|_| insert(&store, tagged(0, sample::record())))
        .collect();
    for record in &mut records {
        block_on(store.touch(&[(record.key.id, used_at)])).unwrap();
        record.key.last_used_at = Some(used_at);
    }
    cluster.begin_to_migrate(slot, from, to);
    let both = |record: &Record| {
        let id = &record.key.id;
        [names::record(id), names::last_use(id)]
    };
    let [_, moved, without_use, without_record] = &*records else {
        unreachable!()
    };
    cluster.move_keys(from, to, &both(moved));
    cluster.move_keys(from, to, &both(without_use)[..1]);
    cluster.move_keys(from, to, &both(without_record)[1..]);
    let count = format!("CLUSTER COUNTKEYSINSLOT {slot}");
    assert_eq!(cluster.servers[to].run(&count), Ok(4));
    records.push(insert(&store, tagged(0, sample::record())));
    for record in &records {
        assert_eq!(find(&store, &record.key.id).as_ref(), Some(record));
    }
    let unknown = tagged(0, sample::record()).key.id;
    assert_eq!(find(&store, &unknown), None);
    for record in &records {
        let mut paused = record.key.clone();
        paused.enabled = false;
        block_on(try_update(&store, record, &paused)).unwrap();
        for _ in 0..2 {
            revoke(&store, record);
        }
        assert!(is_revoked(&store, &record.key.id));
        let rejected = block_on(try_update(&store, record, &paused)).unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::NotFound);
        let expected = [EventKind::Created, EventKind::Updated, revoked(false, 1)];
        assert_eq!(history(&store, &record.key.id), expected);
    }
    assert_eq!(events(&store, ListEvents::new()).len(), 3 * records.len());
}

#[test]
fn keys_of_new_and_known_owners_are_created_listed_and_purged_while_their_indexes_move() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let [known, new] = ["known", "new"].map(sample::owner);
    let [kept, moved] = [(); 2].map(|()| insert(&store, sample::owned_by(&known)));
    let (slot, from) = cluster.slot("default");
    let to = (from + 1) % 3;
    cluster.begin_to_migrate(slot, from, to);
    // The indexes of the workspace and of the owner are on two servers.
    cluster.move_keys(from, to, &[names::index_of_owner(&known)]);
    let list = |owner: &Owner| {
        let list = ListKeys::new().with_owner(owner.clone());
        let workspace = sample::workspace();
        let page = store.list(&workspace, Environment::Live, &list, sample::now());
        let page = block_on(page).unwrap();
        page.keys.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let later = insert(&store, sample::owned_by(&known));
    let first = insert(&store, sample::owned_by(&new));
    assert_eq!(list(&known), [later.key.id, moved.key.id, kept.key.id]);
    assert_eq!(list(&new), [first.key.id]);
    for record in [&moved, &first] {
        revoke(&store, record);
    }
    let purge = Purge::new(10)
        .with_revoked_before(Timestamp::MAX)
        .with_workspace(sample::workspace());
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 2);
    assert_eq!(list(&known), [later.key.id, kept.key.id]);
    assert_eq!(list(&new), []);
}

/// The store adds keys to indexes in other slots in one script, which this server rejects.
#[test]
fn keys_are_created_listed_and_revoked_on_an_address_that_leads_to_a_cluster_by_now() {
    let single = Server::start();
    let proxy = Proxy::before(single.port());
    let store = connect(RedisConfig::new(proxy.url()).with_deadline(PATIENCE));
    insert(&store, sample::record());
    let (clustered, _bus) = clustered_server(tempfile::tempdir().unwrap(), &[]);
    let () = clustered.run("CLUSTER ADDSLOTSRANGE 0 16383").unwrap();
    wait_until("the server has all slots", || {
        let info: String = clustered.run("CLUSTER INFO").unwrap();
        info.contains("cluster_state:ok")
    });
    proxy.set_target(clustered.port());
    proxy.cut();
    wait_for("a record is inserted into the cluster", || {
        let record = sample::record();
        block_on(store.insert(&record, sample::now(), None)).ok()?;
        // The store may have used a connection to the single server.
        let name = names::record(&record.key.id);
        let exists: bool = clustered.run(&format!("EXISTS {name}")).unwrap();
        exists.then_some(())
    });
    let owner = sample::owner("owner");
    let [first, second] = [(); 2].map(|()| insert(&store, sample::owned_by(&owner)));
    let list = ListKeys::new().with_owner(owner);
    let workspace = sample::workspace();
    let listed = store.list(&workspace, Environment::Live, &list, sample::now());
    let page = block_on(listed).unwrap();
    let ids: Vec<KeyId> = page.keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, [second.key.id, first.key.id]);
    for record in [&first, &second] {
        assert_eq!(find(&store, &record.key.id).as_ref(), Some(record));
        revoke(&store, record);
        let changes = [EventKind::Created, revoked(false, 1)];
        assert_eq!(history(&store, &record.key.id), changes);
    }
}

#[test]
fn the_store_uses_tls_for_servers_that_it_discovers_in_the_cluster() {
    let (_cluster, config) = Cluster::with_tls();
    let [here, there] = [(); 2].map(|()| connect(config.clone()));
    for number in 0..TAGS {
        let record = insert(&here, tagged(number, sample::record()));
        let mut copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        wait_until("the copy is stale", || !copy.is_usable());
        assert!(!copy.accepts_when_available());
    }
}

#[test]
fn a_primary_is_tracked_again_after_the_slot_of_its_heartbeat_has_moved() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let record = insert(&store, sample::record());
    Copy::usable(&store, record.key.id);
    // A heartbeat is written under the first of these tags whose slot the primary owns.
    let tags = (0..).map(|number: u32| format!("{number:x}"));
    let (slot, owner) = tags
        .map(|tag| cluster.slot(&tag))
        .find(|(_, owner)| *owner == 0)
        .unwrap();
    cluster.migrate(slot, owner, 1);
    // A lease from before the move has lapsed by then.
    thread::sleep(2 * LEASE);
    Copy::usable(&store, record.key.id);
}

#[test]
fn copies_are_used_again_after_a_primary_was_replaced() {
    let mut cluster = Cluster::with_replicas();
    let [here, there] = [(); 2].map(|()| cluster.store());
    let records: Vec<Record> = (0..30)
        .map(|number| insert(&here, tagged(number, sample::record())))
        .collect();
    let mut copies: Vec<Copy<'_>> = records
        .iter()
        .map(|record| Copy::usable(&there, record.key.id))
        .collect();
    cluster.replace_primary(0);
    for record in &records {
        revoke(&here, record);
    }
    for copy in &mut copies {
        wait_until("the key is rejected", || !copy.accepts_when_available());
    }
    let record = insert(&here, sample::record());
    let copy = Copy::usable(&there, record.key.id);
    revoke(&here, &record);
    wait_until("the copy is stale", || !copy.is_usable());
}

#[test]
fn a_redirection_loop_between_servers_sends_few_commands() {
    let cluster = Cluster::start();
    let record = insert(&cluster.store(), tagged(0, sample::record()));
    let store = connect(RedisConfig::new(cluster.urls()));
    let (slot, owner) = cluster.slot("000");
    // The owner says that its neighbour owns the slot, and the neighbour still says the opposite.
    let neighbour = (owner + 1) % 3;
    let names: Vec<String> = cluster.servers[owner]
        .run(&format!("CLUSTER GETKEYSINSLOT {slot} 10"))
        .unwrap();
    let _: i64 = cluster.servers[owner]
        .run(&format!("DEL {}", names.join(" ")))
        .unwrap();
    let line = format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(neighbour));
    let () = cluster.servers[owner].run(&line).unwrap();
    let before: u64 = cluster.servers.iter().map(rejected_reads).sum();
    let failed = block_on(store.find(&record.key.id)).unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable);
    let sent = cluster.servers.iter().map(rejected_reads).sum::<u64>() - before;
    println!("{sent} commands for a read that no server could answer");
    // The pauses between attempts grow, so that only a few attempts fit into a deadline.
    assert!(sent < 100, "{sent}");
}

/// Returns the number of reads that a server has rejected.
fn rejected_reads(server: &Server) -> u64 {
    let stats: String = server.run("INFO commandstats").unwrap();
    let lines = stats.lines().filter(|line| line.contains("get:"));
    let counts = lines.map(|line| {
        let (_, rest) = line.split_once("rejected_calls=").unwrap();
        let (count, _) = rest.split_once(',').unwrap();
        count.parse::<u64>().unwrap()
    });
    counts.sum()
}
