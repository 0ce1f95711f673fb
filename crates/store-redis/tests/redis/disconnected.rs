//! Connections that the server closes: of clients that read too slowly, and of idle clients.

use std::thread;

use futures_executor::block_on;
use keywright_core::store::{KeyStore, Record, StoreErrorKind};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::Commands;

use crate::{
    insert, names, revoke, sample,
    support::{
        BOUND, Copy, LEASE, PATIENCE, Server, assert_rejected_in_time, connect, now, replica_of,
        replicated_config, wait_for, wait_until,
    },
    try_revoke,
};

/// Changes a record and many others in one step: more invalidations than a client may have pending.
const FLOOD: &str = "redis.call('SET', KEYS[1], ARGV[1])
    for n = 1, 5000 do redis.call('SET', 'kw:r:{other}:' .. n, n) end";

/// Returns the bytes of a record as they are once it is revoked, and leaves it active.
fn revoked_bytes(server: &Server, store: &RedisStore, record: &Record) -> Vec<u8> {
    let name = names::record(&record.key.id);
    let mut redis = server.redis();
    let active: Vec<u8> = redis.get(&name).unwrap();
    revoke(store, record);
    let revoked: Vec<u8> = redis.get(&name).unwrap();
    let () = redis.set(&name, active).unwrap();
    revoked
}

#[test]
fn a_store_that_is_disconnected_for_too_many_invalidations_trusts_no_copy() {
    let server = Server::start();
    let store = server.store();
    let () = redis::cmd("CONFIG")
        .arg(&[
            "SET",
            "client-output-buffer-limit",
            "normal 64kb 0 0 pubsub 64kb 0 0",
        ])
        .query(&mut server.redis())
        .unwrap();
    for _ in 0..5 {
        let record = insert(&store, sample::record());
        let revoked = revoked_bytes(&server, &store, &record);
        let mut copy = Copy::usable(&store, record.key.id);
        let tracking = wait_for("the store tracks the server", || {
            let tracking = server.tracking_clients();
            (tracking.len() == 1).then_some(tracking)
        });
        let () = redis::cmd("EVAL")
            .arg(FLOOD)
            .arg(1)
            .arg(names::record(&record.key.id))
            .arg(revoked)
            .query(&mut server.redis())
            .unwrap();
        assert_rejected_in_time(now(), || copy.accepts().unwrap_or(false));
        // It has not read the invalidations: the server closed its connection, and it reconnects.
        wait_until("the store has reconnected", || {
            let others = server.tracking_clients();
            !others.is_empty() && others != tracking
        });
        assert!(!copy.accepts_when_available());
    }
}

#[test]
fn a_store_that_is_disconnected_again_and_again_rejects_revoked_keys() {
    let server = Server::start();
    let patient = server.store();
    let [here, there] = [(); 2].map(|()| server.store_with_default_deadline());
    let record = insert(&patient, sample::record());
    let mut copy = Copy::usable(&there, record.key.id);
    let start = now();
    let mut acknowledged = None;
    let mut kills = 0;
    // From half a lease before the revocation to more than a lease after it.
    while kills <= 10 || acknowledged.is_none_or(|it| now() - it < 3 * LEASE / 2) {
        assert!(now() - start < PATIENCE, "{kills} kills, {acknowledged:?}");
        kills += server.run::<i64>("CLIENT KILL TYPE normal").unwrap();
        if acknowledged.is_none() && now() - start > LEASE / 2 {
            acknowledged = block_on(try_revoke(&here, &record)).ok().map(|_| now());
        }
        let checked = now();
        let accepted = copy.accepts().unwrap_or(false);
        if let Some(acknowledged) = acknowledged {
            assert!(!accepted || checked - acknowledged <= BOUND);
        }
    }
    assert!(!copy.accepts_when_available());
    let other = insert(&patient, sample::record());
    Copy::usable(&there, other.key.id);
}

/// Asserts that a store makes a change after the server has closed its idle connection.
///
/// The store must not send the change on the closed connection, where it would be lost. On a busy
/// machine, the store may not notice within a second that the connection is closed. Then the
/// attempt is repeated.
fn assert_change_after_idle(server: &Server, store: &RedisStore, replicas: usize) {
    let () = server.run("CONFIG SET timeout 1").unwrap();
    wait_until(
        "a change is made after an idle connection was closed",
        || {
            let record = insert_acknowledged(store);
            // Heartbeats keep the tracking connection busy, and acknowledgements keep the
            // connections of replicas busy.
            wait_until("only the idle connection is closed", || {
                server.clients().len() == 1 + replicas && !server.tracking_clients().is_empty()
            });
            thread::sleep(LEASE);
            match block_on(try_revoke(store, &record)) {
                Ok(_) => true,
                Err(error) if error.kind() == StoreErrorKind::Unavailable => false,
                Err(error) => panic!("{error:?}"),
            }
        },
    );
}

/// Inserts a record, and another record if the insertion is not acknowledged.
fn insert_acknowledged(store: &RedisStore) -> Record {
    wait_for("a record is inserted", || {
        let record = sample::record();
        block_on(store.insert(&record, sample::now(), None)).ok()?;
        Some(record)
    })
}

#[test]
fn a_change_succeeds_after_the_server_has_closed_an_idle_connection() {
    let server = Server::start();
    let store = connect(RedisConfig::new(server.url()));
    assert_change_after_idle(&server, &store, 0);
}

#[test]
fn a_replicated_change_succeeds_after_the_server_has_closed_an_idle_connection() {
    let server = Server::start();
    let _replica = replica_of(server.port());
    let store = connect(replicated_config(server.url()));
    assert_change_after_idle(&server, &store, 1);
}
