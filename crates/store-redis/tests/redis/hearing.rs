//! What one handle hears of the changes that another one makes, and until when it trusts its copies.

use std::{sync::Arc, thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{KeyId, KeyStore, Record};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    insert, revoke, revoke_all, sample,
    support::{
        BOUND, Copy, LEASE, Proxy, Server, assert_refused_in_time, comes_to, connect, now, report,
    },
};

fn store_at(url: String) -> RedisStore {
    connect(RedisConfig::new(url))
}

#[test]
fn a_key_that_one_handle_revokes_is_refused_by_another_as_soon_as_it_hears_of_it() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let mut times = Vec::new();
    for _ in 0..200 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        assert!(copy.accepts().unwrap());
        revoke(&here, &record);
        let acknowledged = now();
        assert!(comes_to(|| !copy.accepts().unwrap()));
        times.push(now() - acknowledged);
    }
    report("revoked in one handle, refused by another", times);
}

#[test]
fn the_handle_that_revokes_refuses_at_once() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..50 {
        let record = insert(&store, sample::record());
        let mut copy = Copy::usable(&store, record.key.id);
        revoke(&store, &record);
        assert!(!copy.accepts_alone());
        assert!(!copy.accepts().unwrap());
    }
}

#[test]
fn a_handle_that_is_cut_off_silently_trusts_its_copies_for_one_lease_and_no_longer() {
    const HANDLES: usize = 20;
    const ROUNDS: u64 = 5;
    let server = Server::start();
    let here = server.store();
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..HANDLES as u64)
            .map(|number| {
                let (server, here) = (&server, &here);
                scope.spawn(move || {
                    let proxy = Proxy::before(server.port());
                    let there = store_at(proxy.url());
                    (0..ROUNDS)
                        .map(|round| {
                            let moment = (number * ROUNDS + round) * 997 % 700;
                            longest_trust(here, &there, &proxy, Duration::from_millis(moment))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    report("revoked, and trusted by who is cut off silently", times);
}

/// How long after a revocation a handle has trusted its copy that was cut off from the server before.
fn longest_trust(
    here: &RedisStore,
    there: &RedisStore,
    proxy: &Proxy,
    moment: Duration,
) -> Duration {
    let record = insert(here, sample::record());
    let copy = Copy::usable(there, record.key.id);
    thread::sleep(moment);
    proxy.set_silent(true);
    revoke(here, &record);
    let acknowledged = now();
    let mut trusted = Duration::ZERO;
    let ended = comes_to(|| {
        let looked = now();
        let accepted = copy.accepts_alone();
        if accepted {
            trusted = looked - acknowledged;
        }
        !accepted
    });
    assert!(ended && trusted <= BOUND, "trusted for {trusted:?}");
    // Longer than a lease: what was told while nobody listened must not be missed.
    thread::sleep(LEASE);
    proxy.set_silent(false);
    assert!(!copy.accepts_alone());
    assert!(comes_to(|| Copy::of_if_any(there, record.key.id)
        .is_some_and(|mut copy| !copy.accepts().unwrap_or(true))));
    trusted
}

#[test]
fn a_change_that_is_made_while_the_hearing_connection_is_dead_is_not_missed() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    for _ in 0..50 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        kill_hearing(&server);
        revoke(&here, &record);
        let acknowledged = now();
        assert_refused_in_time(acknowledged, || copy.accepts().unwrap());
    }
}

/// Ends the connections that hear of changes, of all handles.
fn kill_hearing(server: &Server) {
    for id in server.hearing_clients() {
        let _: redis::RedisResult<()> = server.run(&format!("CLIENT KILL ID {id}"));
    }
}

#[test]
fn touches_and_creations_of_other_keys_take_no_copy_away() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| Arc::new(server.store()));
    // Ids whose ends differ are told apart by every lease.
    let ending = |end: &str| {
        let mut record = sample::record();
        let own = *record.key.id.as_bytes();
        record.key.id = KeyId::from_bytes(&[&own[..14], end.as_bytes()].concat()).unwrap();
        record
    };
    let kept: Vec<KeyId> = (0..20)
        .map(|_| insert(&here, ending("00")).key.id)
        .collect();
    let copies: Vec<Copy<'_>> = kept.iter().map(|id| Copy::usable(&there, *id)).collect();
    let copies: Vec<Copy<'_>> = copies
        .iter()
        .zip(&kept)
        .map(|(_, id)| Copy::usable(&there, *id))
        .collect();
    let start = now();
    let mut written = 0;
    while now() - start < 3 * LEASE {
        let created: Vec<Record> = (0..50).map(|_| insert(&here, ending("01"))).collect();
        let uses: Vec<_> = created
            .iter()
            .map(|record| record.key.id)
            .chain(kept.iter().copied())
            .map(|id| (id, sample::now()))
            .collect();
        block_on(here.touch(&uses)).unwrap();
        written += created.len() + uses.len();
        assert!(
            copies.iter().all(Copy::is_usable),
            "a copy was taken away after {written} writes"
        );
    }
    println!("{written} touches and creations in 3 s, and no copy was taken away");
}

#[test]
fn a_server_that_is_flushed_takes_all_copies_away() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    let _: () = server.run("FLUSHALL").unwrap();
    assert!(comes_to(|| !copy.is_usable()));
    assert!(block_on(store.find(&record.key.id)).unwrap().is_none());
}

#[test]
fn what_a_cascade_revokes_is_heard_of_key_by_key() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let root = insert(&here, sample::record());
    let child = insert(&here, sample::child_of(&root));
    let grandchild = insert(&here, sample::child_of(&child));
    let mut copies = [&root, &child, &grandchild].map(|record| Copy::usable(&there, record.key.id));
    assert_eq!(revoke_all(&here, &root), 3);
    for copy in &mut copies {
        assert!(comes_to(|| !copy.accepts().unwrap()));
    }
}
