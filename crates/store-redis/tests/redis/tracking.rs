//! How a handle receives the changes that another handle makes, and how long it trusts its copies.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Key, KeyId,
    store::{KeyStore, Record},
};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    find, insert, revoke, revoke_all, sample,
    support::{
        Copy, LEASE, Proxy, Server, assert_rejected_in_time, connect, now, report, wait_until,
        without_reconnects,
    },
    try_update,
};

#[test]
fn a_key_that_one_handle_revokes_is_rejected_by_another() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let mut times = Vec::new();
    for _ in 0..200 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        assert!(copy.accepts_when_available());
        revoke(&here, &record);
        let acknowledged = now();
        wait_until("the key is rejected", || !copy.accepts_when_available());
        times.push(now() - acknowledged);
    }
    report("revoked in one handle, rejected by another", times);
}

#[test]
fn an_update_that_one_handle_makes_is_applied_by_both() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let changes: [fn(&mut Key); 5] = [
        |key| key.permissions = "calls:read".parse().unwrap(),
        |key| key.expires_at = Some(sample::now()),
        |key| key.allowed_ips = Some("192.0.2.7".parse().unwrap()),
        |key| key.enabled = false,
        |key| key.enabled = true,
    ];
    for _ in 0..20 {
        let mut record = insert(&here, sample::record());
        for change in changes {
            let [own, copy] = [&here, &there].map(|store| Copy::usable(store, record.key.id));
            change(&mut record.key);
            block_on(try_update(&here, &record, &record.key)).unwrap();
            record.version += 1;
            assert!(!own.is_current());
            wait_until("the copy is stale", || !copy.is_current());
            for store in [&here, &there] {
                assert_eq!(find(store, &record.key.id).as_ref(), Some(&record));
            }
        }
    }
}

#[test]
fn the_handle_that_revokes_a_key_rejects_it_at_once() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..50 {
        let record = insert(&store, sample::record());
        let mut copy = Copy::usable(&store, record.key.id);
        revoke(&store, &record);
        assert!(!copy.accepts_alone());
        assert!(!copy.accepts_when_available());
    }
}

#[test]
fn a_handle_on_a_silent_connection_trusts_its_copies_for_one_lease_and_no_longer() {
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
                    let there = connect(RedisConfig::new(proxy.url()));
                    (0..ROUNDS)
                        .map(|round| {
                            let pause = (number * ROUNDS + round) * 997 % 700;
                            trust_in_silence(here, &there, &proxy, Duration::from_millis(pause))
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
    report("revoked, and trusted on a silent connection", times);
}

/// Returns how long a handle trusts its copy of a key after the revocation, if its connections go
/// silent first, `pause` after the copy was read.
fn trust_in_silence(
    here: &RedisStore,
    there: &RedisStore,
    proxy: &Proxy,
    pause: Duration,
) -> Duration {
    let record = insert(here, sample::record());
    let copy = Copy::usable(there, record.key.id);
    thread::sleep(pause);
    proxy.set_silent(true);
    revoke(here, &record);
    let trusted = assert_rejected_in_time(now(), || copy.accepts_alone());
    // Longer than a lease: the store must not miss an invalidation from that time.
    thread::sleep(LEASE);
    proxy.set_silent(false);
    assert!(!copy.accepts_alone());
    assert!(!Copy::usable(there, record.key.id).accepts_alone());
    trusted
}

#[test]
fn a_change_while_the_tracking_connection_is_closed_is_not_missed() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    for _ in 0..50 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        kill_tracking_clients(&server);
        revoke(&here, &record);
        assert_rejected_in_time(now(), || copy.accepts_when_available());
    }
}

/// Closes the connections on which handles receive invalidations.
fn kill_tracking_clients(server: &Server) {
    for id in server.tracking_clients() {
        let _: redis::RedisResult<()> = server.run(&format!("CLIENT KILL ID {id}"));
    }
}

#[test]
fn touches_and_creations_of_other_keys_leave_copies_current() {
    const ROUNDS: usize = 20;
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    // Ids with these ends do not share a generation of the lease.
    let ending = |end: &str| {
        let mut record = sample::record();
        let own = *record.key.id.as_bytes();
        record.key.id = KeyId::from_bytes(&[&own[..14], end.as_bytes()].concat()).unwrap();
        record
    };
    let kept: Vec<KeyId> = (0..20)
        .map(|_| insert(&here, ending("00")).key.id)
        .collect();
    without_reconnects(&server, || {
        let copies: Vec<Copy<'_>> = kept.iter().map(|id| Copy::usable(&there, *id)).collect();
        let last = insert(&here, ending("02"));
        let last_copy = Copy::usable(&there, last.key.id);
        let mut written = 0;
        for _ in 0..ROUNDS {
            let created: Vec<Record> = (0..50).map(|_| insert(&here, ending("01"))).collect();
            let uses: Vec<_> = created
                .iter()
                .map(|record| record.key.id)
                .chain(kept.iter().copied())
                .map(|id| (id, sample::now()))
                .collect();
            block_on(here.touch(&uses)).unwrap();
            written += created.len() + uses.len();
        }
        // Invalidations arrive in order, so those of the earlier writes have arrived.
        revoke(&here, &last);
        wait_until("the last copy is stale", || !last_copy.is_current());
        println!("{written} touches and creations");
        match copies.iter().all(Copy::is_current) {
            true => Ok(()),
            false => Err(format!("a copy is stale after {written} writes")),
        }
    });
}

#[test]
fn flushing_the_server_makes_all_copies_stale() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    let () = server.run("FLUSHALL").unwrap();
    wait_until("the copy is stale", || !copy.is_current());
    assert_eq!(find(&store, &record.key.id), None);
}

#[test]
fn a_handle_invalidates_each_key_that_another_handle_revokes_in_a_cascade() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let root = insert(&here, sample::record());
    let child = insert(&here, sample::child_of(&root));
    let grandchild = insert(&here, sample::child_of(&child));
    let mut copies = [&root, &child, &grandchild].map(|record| Copy::usable(&there, record.key.id));
    assert_eq!(revoke_all(&here, &root), 3);
    for copy in &mut copies {
        wait_until("the key is rejected", || !copy.accepts_when_available());
    }
}
