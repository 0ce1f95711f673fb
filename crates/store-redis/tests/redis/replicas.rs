//! A primary and its replica, and what is confirmed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, IssueError, KeyId, KeyStore, Keywright, Name, NewKey, NewRotation, Permissions,
    Prefix, Purge, Reach, Record, Revocation, Scheme, StoreError, StoreErrorKind, Timestamp,
};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    insert, is_revoked, sample,
    support::{
        Copy, LEASE, MAX_LAG, Server, await_record, comes_to, connect, now,
        primary_that_needs_its_replica, replica_of,
    },
};

fn store_at(url: String) -> RedisStore {
    connect(RedisConfig::new(url).with_min_replicas(1))
}

fn revoke(store: &RedisStore, record: &Record) -> Result<Revocation, StoreError> {
    let Record { key, .. } = record;
    block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now()))
}

fn kind<T>(answer: Result<T, StoreError>) -> Option<StoreErrorKind> {
    answer.err().map(|error| error.kind())
}

#[test]
fn what_no_replica_has_is_done_but_not_confirmed_and_a_repeat_waits_again() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    let store = store_at(primary.url());
    let [first, second] = [(); 2].map(|()| insert(&store, sample::record()));
    assert!(revoke(&store, &first).is_ok());

    let not_confirmed = Some(StoreErrorKind::NotConfirmed);
    replica.kill();
    assert_eq!(kind(revoke(&store, &second)), not_confirmed);
    assert!(
        is_revoked(&store, &second.key.id),
        "it is done all the same"
    );
    assert_eq!(kind(revoke(&store, &second)), not_confirmed);
    let created = sample::record();
    assert_eq!(
        kind(block_on(store.insert(&created, sample::now()))),
        not_confirmed
    );
    let found = block_on(store.find(&created.key.id)).unwrap();
    assert_eq!(found, Some(created));

    replica.restart();
    assert!(comes_to(
        || revoke(&store, &second).is_ok_and(|revoked| revoked.count == 0)
    ));
}

#[test]
fn what_was_purged_and_no_replica_knows_of_is_not_confirmed() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    let store = store_at(primary.url());
    for record in [(); 2].map(|()| insert(&store, sample::record())) {
        assert!(revoke(&store, &record).is_ok());
    }
    let purge = || block_on(store.purge(&Purge::new(Timestamp::MAX, 1)));
    assert_eq!(purge().unwrap(), 1);

    replica.kill();
    assert_eq!(kind(purge()), Some(StoreErrorKind::NotConfirmed));
    assert!(block_on(store.is_empty()).unwrap());
}

#[test]
fn an_issuer_hands_out_what_is_not_confirmed_and_says_so() {
    let primary = Server::start();
    let mut replica = replica_of(primary.port());
    let store = Arc::new(store_at(primary.url()));
    let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = block_on(Keywright::open(config, store)).unwrap();
    let operator = Caller::new(sample::workspace(), Permissions::all());
    let new = || NewKey::new(Name::parse("CI").unwrap());
    let create = || block_on(keys.issuer().create(&operator, new())).unwrap();
    assert!(create().confirmed);

    replica.kill();
    let created = create();
    assert!(!created.confirmed);
    let verified = block_on(keys.verifier().verify(created.token.expose().as_bytes()));
    assert_eq!(verified.unwrap().key().id, created.key.id);
    let rotation = NewRotation::new();
    let rotated = block_on(keys.issuer().rotate(&operator, &created.key.id, &rotation)).unwrap();
    assert!(!rotated.confirmed);
    // A repeat is no other key, nor does it fail as one that was revoked before.
    for _ in 0..2 {
        let revoked = block_on(keys.issuer().revoke(&operator, &created.key.id, Reach::Key));
        assert!(
            matches!(&revoked, Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::NotConfirmed),
            "{revoked:?}"
        );
    }
    let verified = block_on(keys.verifier().verify(created.token.expose().as_bytes()));
    assert!(verified.is_err());
}

#[test]
fn changes_that_wait_for_a_replica_wait_together() {
    let primary = Server::start();
    let _replica = replica_of(primary.port());
    let store = store_at(primary.url());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let parent = insert(&store, sample::record());
                    let child = insert(&store, sample::child_of(&parent));
                    assert!(revoke(&store, &child).is_ok());
                }
            });
        }
    });
}

#[test]
fn no_confirmed_revocation_is_lost_in_fifty_tries_at_failovers() {
    const FAILOVERS: usize = 5;
    /// Revocations that are confirmed at least before each of them.
    const EACH: usize = 10;
    let mut servers = [(); 2].map(|()| Server::with(&["--repl-diskless-sync-delay", "0"]));
    let urls = [&servers[0], &servers[1]].map(Server::url).join(",");
    let mut store = None;
    let mut confirmed = Vec::new();
    let mut each = Vec::new();
    for failover in 0..FAILOVERS {
        let (primary, replica) = (failover % 2, (failover + 1) % 2);
        follow(&servers[replica], servers[primary].port());
        let store = store.get_or_insert_with(|| store_at(urls.clone()));
        assert!(comes_to(|| block_on(
            store.insert(&sample::record(), sample::now())
        )
        .is_ok()));
        let count = AtomicUsize::new(0);
        let killed = AtomicBool::new(false);
        let done = thread::scope(|scope| {
            let revoking: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| revoke_until(store, &killed, &count)))
                .collect();
            assert!(comes_to(|| count.load(Ordering::SeqCst) >= EACH));
            thread::sleep(Duration::from_millis(failover as u64));
            servers[primary].kill();
            killed.store(true, Ordering::SeqCst);
            let _: () = servers[replica].run("REPLICAOF NO ONE").unwrap();
            let revoking = revoking.into_iter();
            let done = revoking.flat_map(|revoking| revoking.join().unwrap());
            done.collect::<Vec<KeyId>>()
        });
        each.push(done.len());
        confirmed.extend(done);
        // The store finds the new primary by itself.
        for id in &confirmed {
            assert!(comes_to(|| block_on(store.find(id)).is_ok()));
            let found = block_on(store.find(id)).unwrap().unwrap();
            assert!(found.key.revoked_at.is_some(), "{id} has come back");
        }
        servers[primary].restart();
    }
    let store = store.unwrap();
    let copy = Copy::usable(&store, confirmed[0]);
    assert!(copy.is_usable(), "the new primary is heard");
    println!("confirmed revocations before each failover: {each:?}, none lost");
    assert!(confirmed.len() >= 50);
}

/// Has a server replicate another one, and waits until it does.
fn follow(replica: &Server, port: u16) {
    let _: () = replica.run(&format!("REPLICAOF 127.0.0.1 {port}")).unwrap();
    assert!(comes_to(|| {
        let info: String = replica.run("INFO replication").unwrap();
        info.contains("master_link_status:up")
    }));
}

/// Creates keys and revokes them until the primary is killed; those of which replicas have confirmed
/// the revocation.
fn revoke_until(store: &RedisStore, killed: &AtomicBool, count: &AtomicUsize) -> Vec<KeyId> {
    let mut confirmed = Vec::new();
    while !killed.load(Ordering::SeqCst) {
        let record = sample::record();
        if block_on(store.insert(&record, sample::now())).is_ok() && revoke(store, &record).is_ok()
        {
            confirmed.push(record.key.id);
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    confirmed
}

#[test]
fn who_is_left_with_an_old_primary_trusts_its_copies_until_that_gives_up_writing() {
    let (primary, between, replica) = primary_that_needs_its_replica();
    let left_behind = primary.store();
    let record = insert(&left_behind, sample::record());
    let copy = Copy::usable(&left_behind, record.key.id);

    await_record(&replica, &record.key.id);
    between.set_silent(true);
    let _: () = replica.run("REPLICAOF NO ONE").unwrap();
    let elsewhere = replica.store();
    revoke(&elsewhere, &record).unwrap();
    let acknowledged = now();
    let mut trusted = Duration::ZERO;
    assert!(comes_to(|| {
        let looked = now();
        let accepted = copy.accepts_alone();
        if accepted {
            trusted = looked - acknowledged;
        }
        !accepted
    }));
    println!("trusted by who is left with the old primary: {trusted:?}");
    // Redis looks at the lag once a second, in whole seconds.
    assert!(trusted <= LEASE + 2 * MAX_LAG + MAX_LAG, "{trusted:?}");
    thread::sleep(LEASE);
    let found = block_on(left_behind.find(&record.key.id));
    assert_eq!(kind(found), Some(StoreErrorKind::Unavailable));
}
