//! A primary and its replica, and the promises of a confirmed change.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    EventKind, IssueError, KeyId, ListEvents, Name, NewKey, NewRotation, Reach, Timestamp,
    store::{KeyStore, Purge, Record, StoreError, StoreErrorKind},
};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    events, find, insert, is_revoked, revoke, revoked, sample,
    support::{
        BOUND, Copy, LEASE, PATIENCE, Server, StopOnDrop, Verification, WriteStop, await_record,
        connect, decide, library_over, now, operator, primary_that_needs_its_replica, promote,
        replica_of, replicate, replicated_config, retry, until_available, wait_for, wait_until,
    },
    try_revoke,
};

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// Inserts records until a replica confirms an insertion.
fn insert_confirmed(store: &RedisStore) -> Record {
    wait_for("a replica confirms a creation", || {
        let record = sample::record();
        block_on(store.insert(&record, sample::now(), None)).ok()?;
        Some(record)
    })
}

#[test]
fn a_change_without_a_replica_is_made_and_not_confirmed_and_so_is_a_repeat() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    let store = connect(replicated_config(primary.url()));
    let [first, second] = [(); 2].map(|()| insert_confirmed(&store));
    wait_until("a replica confirms a revocation", || {
        block_on(try_revoke(&store, &first)).is_ok()
    });

    replica.kill();
    for _ in 0..2 {
        let revoked = until_available(|| try_revoke(&store, &second));
        assert_eq!(revoked, Err(StoreErrorKind::NotConfirmed));
        assert!(is_revoked(&store, &second.key.id), "the change is made");
    }
    wait_until("a creation is not confirmed", || {
        let created = sample::record();
        let inserted = kind(block_on(store.insert(&created, sample::now(), None)));
        if inserted == Some(StoreErrorKind::Unavailable) {
            return false;
        }
        assert_eq!(inserted, Some(StoreErrorKind::NotConfirmed));
        assert_eq!(find(&store, &created.key.id), Some(created));
        true
    });

    replica.restart();
    let repeated = wait_for("the replica confirms a repeat", || {
        block_on(try_revoke(&store, &second)).ok()
    });
    assert_eq!(repeated.count, 0);
}

#[test]
fn a_purge_without_a_replica_is_not_confirmed() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    let store = connect(replicated_config(primary.url()));
    let direct = primary.store();
    let purge = |store: &RedisStore| {
        block_on(store.purge(&Purge::new(1).with_revoked_before(Timestamp::MAX)))
    };
    let insert_revoked = || revoke(&direct, &insert(&direct, sample::record()));
    wait_until("the replica confirms a purge", || {
        insert_revoked();
        purge(&store).is_ok_and(|count| count == 1)
    });

    replica.kill();
    wait_until("a purge is not confirmed", || {
        // Leave one key to purge, whether or not the last attempt has purged any.
        while purge(&direct).unwrap() > 0 {}
        insert_revoked();
        let purged = kind(purge(&store));
        if purged == Some(StoreErrorKind::Unavailable) {
            return false;
        }
        assert_eq!(purged, Some(StoreErrorKind::NotConfirmed));
        true
    });
    assert!(block_on(direct.is_empty()).unwrap());
}

#[test]
fn an_issuer_reports_keys_that_no_replica_has_confirmed() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    // The default deadline: without a replica each change takes a quarter of it.
    let keys = library_over(Arc::new(connect(
        RedisConfig::new(primary.url()).with_min_replicas(1),
    )));
    let (issuer, operator) = (keys.issuer(), operator());
    let create = || {
        let new = NewKey::new(Name::parse("CI").unwrap());
        block_on(issuer.create(&operator, new))
    };
    wait_until("the replica confirms a creation", || {
        create().is_ok_and(|created| created.confirmed)
    });

    replica.kill();
    // An unavailable step may have been done, so all steps are repeated with another key.
    retry(|| {
        let created = create()?;
        assert!(!created.confirmed);
        assert_eq!(decide(&keys, &created), Verification::Accepted);
        let id = &created.key.id;
        let rotated = block_on(issuer.rotate(&operator, id, &NewRotation::new()))?;
        assert!(!rotated.confirmed);
        // A repeat revokes no other key, and does not report that the key was revoked before.
        for _ in 0..2 {
            match block_on(issuer.revoke(&operator, id, Reach::Key)) {
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::NotConfirmed => {}
                Err(error) => return Err(error),
                Ok(revoked) => panic!("{revoked:?}"),
            }
        }
        assert_eq!(decide(&keys, &created), Verification::Revoked);
        Ok(())
    })
    .unwrap();
}

#[test]
fn concurrent_changes_wait_for_a_replica_together() {
    const THREADS: u64 = 16;
    const ROUNDS: u64 = 20;
    let primary = Server::start();
    let _replica = replica_of(primary.port());
    let store = connect(replicated_config(primary.url()).with_deadline(4 * PATIENCE));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let parent = insert(&store, sample::record());
                    let child = insert(&store, sample::child_of(&parent));
                    block_on(try_revoke(&store, &child)).unwrap();
                }
            });
        }
    });
    let stats: String = primary.run("INFO commandstats").unwrap();
    let waits = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_wait:calls="));
    let (waits, _) = waits.unwrap().split_once(',').unwrap();
    let waits: u64 = waits.parse().unwrap();
    println!("{waits} waits for {} changes", THREADS * ROUNDS * 3);
    assert!(waits < THREADS * ROUNDS * 3, "{waits}");
}

#[test]
fn no_confirmed_revocation_is_lost_in_failovers() {
    const FAILOVERS: usize = 5;
    /// The minimum number of confirmed revocations before each failover.
    const EACH: usize = 10;
    let mut servers = [(); 2].map(|()| Server::with(&["--repl-diskless-sync-delay", "0"]));
    let urls = [&servers[0], &servers[1]].map(Server::url).join(",");
    replicate(&servers[1], servers[0].port());
    let store = connect(replicated_config(urls));
    let mut confirmed = Vec::new();
    let mut each = Vec::new();
    for failover in 0..FAILOVERS {
        let (primary, replica) = (failover % 2, (failover + 1) % 2);
        insert_confirmed(&store);
        let count = AtomicUsize::new(0);
        let running = AtomicBool::new(true);
        let done = thread::scope(|scope| {
            let revoking: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| revoke_until(&store, &running, &count)))
                .collect();
            let stop = StopOnDrop(&running);
            wait_until("replicas confirm revocations", || {
                count.load(Ordering::SeqCst) >= EACH
            });
            thread::sleep(Duration::from_millis(failover as u64));
            servers[primary].kill();
            drop(stop);
            promote(&servers[replica]);
            let revoking = revoking.into_iter();
            let done = revoking.flat_map(|revoking| revoking.join().unwrap());
            done.collect::<Vec<KeyId>>()
        });
        each.push(done.len());
        confirmed.extend(done);
        // The store finds the new primary by itself.
        for id in &confirmed {
            assert!(is_revoked(&store, id), "the revocation of {id} is lost");
        }
        let listed = events(&store, ListEvents::new().with_limit(1000));
        let revocations = listed
            .iter()
            .filter(|event| event.kind == revoked(false, 1));
        let mut recorded: HashMap<KeyId, usize> = HashMap::new();
        for event in revocations {
            *recorded.entry(event.key).or_default() += 1;
            assert!(is_revoked(&store, &event.key), "{event:?} has no change");
        }
        for id in &confirmed {
            assert_eq!(recorded.get(id), Some(&1), "the events of {id}");
        }
        let new_primary = servers[replica].port();
        servers[primary].restart_as_replica_of(new_primary);
    }
    // The new primary is tracked.
    Copy::usable(&store, confirmed[0]);
    println!("confirmed revocations before each failover: {each:?}, none lost");
    assert!(confirmed.len() >= FAILOVERS * EACH);
}

/// Creates keys and revokes them until the primary is killed. Returns the keys whose revocation a
/// replica has confirmed.
fn revoke_until(store: &RedisStore, running: &AtomicBool, count: &AtomicUsize) -> Vec<KeyId> {
    let mut confirmed = Vec::new();
    while running.load(Ordering::SeqCst) {
        let record = sample::record();
        let event = sample::event(&record.key, EventKind::Created);
        if block_on(store.insert(&record, sample::now(), Some(&event))).is_ok()
            && block_on(try_revoke(store, &record)).is_ok()
        {
            confirmed.push(record.key.id);
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    confirmed
}

#[test]
fn a_store_left_with_an_old_primary_trusts_its_copies_until_the_primary_stops_writing() {
    let (primary, proxy, replica) = primary_that_needs_its_replica();
    let left_behind = primary.store_with_default_deadline();
    let record = insert(&primary.store(), sample::record());
    let copy = Copy::usable(&left_behind, record.key.id);

    await_record(&replica, &record.key.id);
    proxy.set_silent(true);
    promote(&replica);
    revoke(&replica.store(), &record);
    let revoked = now();
    let mut write_stop = WriteStop::default();
    let trusted = wait_for("the copy is not trusted", || {
        let stopped = write_stop.poll(&primary);
        let checked = now();
        if copy.accepts_alone() {
            assert!(stopped.is_none_or(|stopped| checked - stopped <= BOUND));
            return None;
        }
        stopped.map(|_| checked - revoked)
    });
    println!("trusted by a store left with the old primary: {trusted:?}");
    thread::sleep(LEASE);
    let found = block_on(left_behind.find(&record.key.id));
    assert_eq!(kind(found), Some(StoreErrorKind::Unavailable));
}
