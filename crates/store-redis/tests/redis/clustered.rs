//! A cluster whose slots move.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, KeyStore, ListKeys, Reach, Record, Retire, Rotation, StoreErrorKind,
    Timestamp,
};
use keywright_store_redis::RedisStore;

use crate::{
    insert, is_revoked, names, revoke, revoke_all, sample,
    support::{Cluster, Copy, LEASE, Server, comes_to, connect, now},
};

/// The records of this test have these routing tags, and their slots move.
const TAGS: u32 = 12;
const ROUNDS: usize = 4;

/// They, and what the entries of the workspace's list have.
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
                        live_a_life(here, there, number);
                        number += 4;
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let stop = Stop(&moving);
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
        // Each of them has four keys.
        let newest = ListKeys::new().with_limit(1);
        let page = block_on(there.list(
            &sample::workspace(),
            Environment::Live,
            &newest,
            sample::now(),
        ))
        .unwrap();
        assert_eq!(page.total, Some(u64::from(rounds) * 4));
        println!(
            "{rounds} families of keys lived while {} slots moved",
            tags().count() * ROUNDS
        );
    });
}

/// Has the workers stop, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Creates, rotates, reads and revokes a family of keys; each step must succeed, and be whole.
fn live_a_life(here: &RedisStore, there: &RedisStore, number: u32) {
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
    block_on(here.rotate(&sample::workspace(), &rotation, sample::now())).unwrap();
    let link = block_on(there.find(&child.key.id)).unwrap().unwrap();
    assert_eq!(link.key.successor, Some(successor.key.id));
    let found = block_on(there.find(&successor.key.id)).unwrap();
    assert_eq!(found, Some(successor.clone()));

    assert!(copy.accepts().unwrap());
    assert_eq!(revoke_all(here, &root), 4);
    let acknowledged = now();
    assert!(comes_to(|| {
        let looked = now();
        let accepted = copy.accepts().unwrap();
        assert!(!accepted || looked - acknowledged <= Duration::from_millis(1100));
        !accepted
    }));
    for id in [root.key.id, child.key.id, successor.key.id] {
        assert!(is_revoked(there, &id), "{id} is left out");
    }
}

/// As a reshard leaves it that was interrupted.
#[test]
fn keys_are_created_found_and_revoked_in_a_slot_that_stays_halfway_on_its_way() {
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
        let found = block_on(store.find(&record.key.id)).unwrap();
        assert_eq!(found.as_ref(), Some(record));
    }
    let unknown = tagged(0, sample::record()).key.id;
    assert_eq!(block_on(store.find(&unknown)).unwrap(), None);
    for record in &records {
        revoke(&store, record);
        assert!(is_revoked(&store, &record.key.id));
    }
}

#[test]
fn servers_that_a_cluster_tells_of_are_reached_over_tls_like_the_first() {
    let (_cluster, config) = Cluster::with_tls();
    let [here, there] = [(); 2].map(|()| connect(config.clone()));
    for number in 0..TAGS {
        let record = insert(&here, tagged(number, sample::record()));
        let mut copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        assert!(comes_to(|| !copy.is_usable()));
        assert!(!copy.accepts().unwrap());
    }
}

#[test]
fn a_primary_whose_heartbeat_has_moved_to_another_one_is_heard_again() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let record = insert(&store, sample::record());
    Copy::usable(&store, record.key.id);
    // What it writes has the first of these tags whose slot it has.
    let tags = (0..).map(|number: u32| format!("{number:x}"));
    let (slot, owner) = tags
        .map(|tag| cluster.slot(&tag))
        .find(|(_, owner)| *owner == 0)
        .unwrap();
    cluster.migrate(slot, owner, 1);
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
    cluster.servers[0].kill();
    // Until its replica takes over, what it had is not decided.
    for record in &records {
        assert!(comes_to(|| {
            let revoked = here.revoke(
                &record.key.workspace,
                &record.key.id,
                Reach::Key,
                sample::now(),
            );
            block_on(revoked).is_ok()
        }));
    }
    for copy in &mut copies {
        assert!(comes_to(|| copy.accepts().is_ok_and(|accepted| !accepted)));
    }
    let record = insert(&here, sample::record());
    let copy = Copy::usable(&there, record.key.id);
    revoke(&here, &record);
    assert!(comes_to(|| !copy.is_usable()));
}

#[test]
fn servers_that_send_a_request_to_each_other_are_not_asked_again_and_again() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let record = insert(&store, tagged(0, sample::record()));
    let (slot, owner) = cluster.slot("000");
    // The owner says that its neighbour has the slot, and that one goes on saying the opposite.
    let neighbour = (owner + 1) % 3;
    let names: Vec<String> = cluster.servers[owner]
        .run(&format!("CLUSTER GETKEYSINSLOT {slot} 10"))
        .unwrap();
    let _: i64 = cluster.servers[owner]
        .run(&format!("DEL {}", names.join(" ")))
        .unwrap();
    let line = format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(neighbour));
    let _: () = cluster.servers[owner].run(&line).unwrap();
    let refused = block_on(store.find(&record.key.id)).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    let sent: u64 = cluster.servers.iter().map(refused_reads).sum();
    println!("{sent} commands were sent for a read that nobody could answer");
    assert!(sent < 100, "{sent}");
}

/// How many reads a server has refused.
fn refused_reads(server: &Server) -> u64 {
    let stats: String = server.run("INFO commandstats").unwrap();
    let lines = stats.lines().filter(|line| line.contains("get:"));
    let counts = lines.map(|line| {
        let (_, rest) = line.split_once("rejected_calls=").unwrap();
        let (count, _) = rest.split_once(',').unwrap();
        count.parse::<u64>().unwrap()
    });
    counts.sum()
}
