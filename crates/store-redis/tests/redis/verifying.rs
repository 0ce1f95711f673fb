//! The verifier of the library over this store: what it goes on accepting, and for how long.

use std::{
    future::ready,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{KeyStore, Record};
use keywright_store_redis::RedisConfig;

use crate::{
    insert, sample,
    support::{
        BOUND, Copy, LEASE, Outcome, PATIENT, Proxy, Server, comes_to, connect, create,
        first_refused, heat, library, now, open, reads, report, revoke, verify,
    },
};

#[test]
fn a_key_that_is_hot_in_two_libraries_and_revoked_in_one_is_refused_by_the_other() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| library(server.url()));
    let mut times = Vec::new();
    for _ in 0..50 {
        let issued = create(&here);
        for keys in [&here, &there] {
            heat(keys, &issued, &server);
        }
        revoke(&here, &issued);
        let acknowledged = now();
        assert_eq!(verify(&here, &issued), Outcome::Revoked, "here at once");
        let (began, outcome) = first_refused(&there, &issued, acknowledged, BOUND);
        assert_eq!(outcome, Outcome::Revoked);
        times.push(began);
    }
    report("revoked in one library, first refused by another", times);
}

#[test]
fn a_library_behind_a_dead_network_refuses_after_one_lease() {
    let server = Server::start();
    let here = library(server.url());
    let proxy = Proxy::before(server.port());
    let there = library(proxy.url());
    let mut times = Vec::new();
    for round in 0..8 {
        let issued = create(&here);
        heat(&there, &issued, &server);
        // At another moment between two heartbeats each time.
        thread::sleep(Duration::from_millis(round * 97 % 340));
        proxy.set_silent(true);
        revoke(&here, &issued);
        let (began, outcome) = first_refused(&there, &issued, now(), BOUND);
        assert_eq!(outcome, Outcome::Undecided, "nobody can tell it");
        times.push(began);
        proxy.set_silent(false);
        assert!(comes_to(|| match verify(&there, &issued) {
            Outcome::Accepted => panic!("it is accepted again"),
            outcome => outcome == Outcome::Revoked,
        }));
    }
    report("revoked behind a dead network, first not accepted", times);
}

#[test]
fn a_server_that_is_killed_is_outlived_by_one_lease_and_then_nothing_is_decided() {
    let mut server = Server::start();
    let keys = library(server.url());
    let issued = create(&keys);
    let mut times = Vec::new();
    for _ in 0..3 {
        heat(&keys, &issued, &server);
        server.kill();
        let (began, outcome) = first_refused(&keys, &issued, now(), LEASE);
        times.push(began);
        assert_eq!(outcome, Outcome::Undecided);
        // Whatever it does to connect again, it denies nothing.
        assert_eq!(verify(&keys, &issued), Outcome::Undecided);
        server.restart();
        assert!(comes_to(|| match verify(&keys, &issued) {
            Outcome::Revoked => panic!("an outage is a denial"),
            outcome => outcome == Outcome::Accepted,
        }));
    }
    report("first not accepted after the server was killed", times);
}

#[test]
fn thousands_of_creations_and_touches_have_no_cached_key_read_again() {
    const OTHERS: usize = 3000;
    let server = Server::start();
    let store = Arc::new(server.store());
    let there = library(server.url());
    let here = open(store.clone());
    let issued = create(&here);
    heat(&there, &issued, &server);
    let mut uses = vec![(issued.key.id, there.issuer().now())];
    let before = reads(&server);
    let mut verified = 0;
    for _ in 0..OTHERS {
        let other = create(&here);
        uses.push((other.key.id, there.issuer().now()));
        assert_eq!(verify(&there, &issued), Outcome::Accepted);
        verified += 1;
    }
    for some in uses.chunks(100) {
        block_on(store.touch(some)).unwrap();
        assert_eq!(verify(&there, &issued), Outcome::Accepted);
        verified += 1;
    }
    let read = reads(&server) - before;
    println!(
        "{OTHERS} creations, {} touches, {verified} verifications: {read} reads",
        uses.len()
    );
    assert_eq!(read, 0, "a cached key was read again");
    revoke(&here, &issued);
    assert!(comes_to(|| verify(&there, &issued) == Outcome::Revoked));
    assert!(reads(&server) > before, "reads are not counted");
}

#[test]
fn reads_that_come_together_are_fewer_for_the_server() {
    let server = Server::start();
    let config = RedisConfig::new(server.url()).with_deadline(PATIENT);
    let store = connect(config);
    let records: Vec<Record> = (0..100).map(|_| insert(&store, sample::record())).collect();
    Copy::usable(&store, records[0].key.id);
    // Should the server not be heard for a while, each of them is two.
    assert!(comes_to(|| {
        let before = reads(&server);
        let mut context = Context::from_waker(Waker::noop());
        let asked: Vec<_> = records
            .iter()
            .map(|record| {
                let mut find = store.find(&record.key.id);
                match find.as_mut().poll(&mut context) {
                    Poll::Ready(found) => Box::pin(ready(found)),
                    Poll::Pending => find,
                }
            })
            .collect();
        for (find, record) in asked.into_iter().zip(&records) {
            assert_eq!(block_on(find).unwrap().as_ref(), Some(record));
        }
        reads(&server) - before < 100
    }));
}
