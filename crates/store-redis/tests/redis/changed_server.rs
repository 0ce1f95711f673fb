//! A server whose data or settings change while a store uses it.

use std::error::Error;

use futures_executor::block_on;
use keywright_core::store::{KeyStore, Record, StoreErrorKind};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    chain, find, insert, revoke, sample,
    support::{
        Copy, PATIENCE, Server, assert_rejected_in_time, connect, now, replica_of,
        replicated_config, wait_for, wait_until,
    },
    try_revoke,
};

/// Asserts that the store uses no earlier copy after its data is replaced with data in which the
/// key is revoked.
#[track_caller]
fn assert_notices_replacement(store: &RedisStore, record: &Record, replace: impl FnOnce()) {
    let mut copy = Copy::usable(store, record.key.id);
    assert!(copy.accepts_alone());
    replace();
    assert_rejected_in_time(now(), || copy.accepts_when_available());
    // The store works with the new data.
    let other = insert(store, sample::record());
    let copy = Copy::usable(store, other.key.id);
    revoke(store, &other);
    assert!(!copy.is_usable());
}

#[test]
fn a_key_that_is_revoked_in_a_swapped_database_is_rejected() {
    let server = Server::start();
    let store = server.store();
    let url = format!("{}/1", server.url());
    let other = connect(RedisConfig::new(url).with_deadline(PATIENCE));
    let record = insert(&store, sample::record());
    insert(&other, record.clone());
    revoke(&other, &record);
    assert_notices_replacement(&store, &record, || {
        let () = server.run("SWAPDB 0 1").unwrap();
    });
}

#[test]
fn a_key_that_is_missing_after_a_flush_is_rejected() {
    for flush in ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 9"] {
        let server = Server::start();
        let store = server.store();
        let record = insert(&store, sample::record());
        let mut copy = Copy::usable(&store, record.key.id);
        let () = server.run(flush).unwrap();
        assert_rejected_in_time(now(), || {
            copy.accepts_alone() || find(&store, &record.key.id).is_some()
        });
        insert(&store, record.clone());
        copy = Copy::usable(&store, record.key.id);
        assert!(copy.accepts_when_available());
    }
}

#[test]
fn a_key_that_is_missing_in_a_restored_backup_is_rejected() {
    let server = Server::start();
    let store = server.store();
    insert(&store, sample::record());
    Copy::usable(&store, insert(&store, sample::record()).key.id);
    let () = server.run("SAVE").unwrap();
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    // The backup also contains the nonce of a heartbeat. Wait for a later one.
    let saved = heartbeats(&server);
    wait_until("a heartbeat after the backup", || {
        heartbeats(&server) != saved
    });
    let () = server.run("DEBUG RELOAD NOSAVE").unwrap();
    assert_rejected_in_time(now(), || {
        copy.accepts_alone() || find(&store, &record.key.id).is_some()
    });
}

/// Returns the names and nonces of the heartbeats.
fn heartbeats(server: &Server) -> Vec<(String, Option<String>)> {
    let names: Vec<String> = server.run("KEYS kw:h:*").unwrap();
    let read = |name: String| {
        let nonce = server.run(&format!("GET {name}")).unwrap();
        (name, nonce)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn a_store_rejects_a_server_that_becomes_unsuitable_and_uses_it_again_afterwards() {
    for (change, undo, advice) in [
        (
            "CONFIG SET maxmemory-policy allkeys-lru",
            "CONFIG SET maxmemory-policy noeviction",
            "set maxmemory-policy to noeviction instead of allkeys-lru",
        ),
        (
            "CONFIG SET appendonly no",
            "CONFIG SET appendonly yes",
            "set appendonly to yes",
        ),
    ] {
        let server = Server::start();
        let store = server.store();
        let record = insert(&store, sample::record());
        let copy = Copy::usable(&store, record.key.id);
        let () = server.run(change).unwrap();
        wait_until("the lease ends", || !copy.is_usable());
        let error = wait_for("the store rejects the server", || {
            block_on(store.find(&record.key.id)).err()
        });
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let error: &dyn Error = &error;
        assert!(chain(error).contains(advice), "{}", chain(error));
        let () = server.run(undo).unwrap();
        assert!(Copy::usable(&store, record.key.id).accepts_alone());
    }
}

#[test]
fn a_change_that_replicas_confirm_is_rejected_by_a_server_that_becomes_unsuitable() {
    let server = Server::start();
    let _replica = replica_of(server.port());
    let store = connect(replicated_config(server.url()).with_deadline(4 * PATIENCE));
    // From now on, the queue for such changes has a separate connection.
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    let () = server
        .run("CONFIG SET maxmemory-policy allkeys-random")
        .unwrap();
    wait_until("the lease ends", || !copy.is_usable());
    let error = wait_for("the store rejects the server", || {
        block_on(try_revoke(&store, &record)).err()
    });
    assert!(
        chain(&error).contains("allkeys-random"),
        "{}",
        chain(&error)
    );
}
