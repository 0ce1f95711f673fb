//! A server that is the primary no more: what it says decides nothing.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{KeyStore, Reach, Record};
use keywright_store_redis::RedisConfig;

use crate::{
    insert, is_revoked, sample,
    support::{
        LEASE, MAX_LAG, Outcome, Proxy, Server, await_link, await_record, comes_to, connect,
        create, first_refused, heat, library, now, primary_that_needs_its_replica, reads,
        replica_of, report, revoke, verify,
    },
};

/// How long a test goes on looking for an answer that must not come.
const LOOKING: Duration = Duration::from_secs(2);

/// Verifies for a while, and has nothing decided.
#[track_caller]
fn assert_undecided(mut verify: impl FnMut() -> Outcome) {
    let end = now() + LOOKING;
    while now() < end {
        assert_eq!(verify(), Outcome::Undecided);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_old_primary_that_has_given_up_writing_has_no_key_accepted() {
    let (primary, between, replica) = primary_that_needs_its_replica();
    let left_behind = library(primary.url());
    let issued = create(&left_behind);
    heat(&left_behind, &issued, &primary);
    await_record(&replica, &issued.key.id);

    between.set_silent(true);
    let _: () = replica.run("REPLICAOF NO ONE").unwrap();
    revoke(&library(replica.url()), &issued);
    // Redis looks at the lag once a second, in whole seconds.
    let bound = LEASE + 3 * MAX_LAG;
    let (began, outcome) = first_refused(&left_behind, &issued, now(), bound);
    assert_eq!(outcome, Outcome::Undecided);
    report(
        "revoked elsewhere, first not accepted by who is left behind",
        vec![began],
    );
    assert_undecided(|| verify(&left_behind, &issued));
}

#[test]
fn a_replica_that_has_lost_its_primary_has_no_key_accepted() {
    let [old, new] = [(); 2].map(|()| Server::start());
    let keys = library(old.url());
    let issued = create(&keys);
    heat(&keys, &issued, &old);
    // The other one becomes the primary, with all that there is, and the old one its replica.
    let between = Proxy::before(new.port());
    let _: () = new
        .run(&format!("REPLICAOF 127.0.0.1 {}", old.port()))
        .unwrap();
    await_link(&new);
    let _: () = new.run("REPLICAOF NO ONE").unwrap();
    let _: () = old
        .run(&format!("REPLICAOF 127.0.0.1 {}", between.port()))
        .unwrap();
    await_link(&old);
    between.set_silent(true);
    revoke(&library(new.url()), &issued);
    let (began, outcome) = first_refused(&keys, &issued, now(), LEASE);
    assert_eq!(outcome, Outcome::Undecided);
    report(
        "revoked elsewhere, first not accepted over a replica",
        vec![began],
    );
    assert_undecided(|| verify(&keys, &issued));
}

#[test]
fn a_replica_that_has_nothing_yet_denies_no_key() {
    let server = Server::start();
    let keys = library(server.url());
    let issued = create(&keys);
    // Of a primary that nobody reaches, and emptied as by the beginning of a transfer that was cut off.
    let _: () = server.run("REPLICAOF 127.0.0.1 1").unwrap();
    let _: () = server.run("CONFIG SET replica-read-only no").unwrap();
    let _: () = server.run("FLUSHALL").unwrap();
    let _: () = server.run("CONFIG SET replica-read-only yes").unwrap();
    assert_undecided(|| verify(&keys, &issued));
}

#[test]
fn changes_follow_an_address_to_the_new_primary_though_the_old_one_keeps_its_connections() {
    let old = Server::start();
    let new = replica_of(old.port());
    let address = Proxy::before(old.port());
    let config = RedisConfig::new(address.url()).with_min_replicas(1);
    let store = connect(config);
    let [first, second] = [(); 2].map(|()| insert(&store, sample::record()));
    let revoke = |record: &Record| {
        let Record { key, .. } = record;
        block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now()))
    };
    assert!(revoke(&first).is_ok());

    let _: () = new.run("REPLICAOF NO ONE").unwrap();
    address.lead_to(new.port());
    let _: () = old
        .run(&format!("REPLICAOF 127.0.0.1 {}", new.port()))
        .unwrap();
    await_link(&old);
    assert!(comes_to(|| revoke(&second).is_ok()));
    assert!(is_revoked(&new.store(), &second.key.id));
}

#[test]
fn what_is_read_from_a_primary_that_is_not_heard_is_read_again() {
    let old = Server::start();
    let new = replica_of(old.port());
    let address = Proxy::before(old.port());
    let keys = library(address.url());
    let issued = create(&keys);
    await_record(&new, &issued.key.id);

    let _: () = new.run("REPLICAOF NO ONE").unwrap();
    address.lead_to(new.port());
    // The connection that hears stays, and the old one says on it that it is a primary still.
    for id in old.asking_clients() {
        let _: i64 = old.run(&format!("CLIENT KILL ID {id}")).unwrap();
    }
    assert!(comes_to(|| verify(&keys, &issued) == Outcome::Accepted));
    assert_eq!(old.hearing_clients().len(), 1);
    let before = reads(&new);
    for _ in 0..10 {
        assert_eq!(verify(&keys, &issued), Outcome::Accepted);
    }
    assert!(reads(&new) - before >= 10);
    revoke(&library(new.url()), &issued);
    assert_eq!(verify(&keys, &issued), Outcome::Revoked);
}
