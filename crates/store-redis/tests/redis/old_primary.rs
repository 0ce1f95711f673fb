//! A server that is no longer the primary: no reply of it decides about a key.

use std::thread;

use futures_executor::block_on;
use keywright_core::{Issued, Keywright};
use keywright_store_redis::RedisConfig;

use crate::{
    insert, is_revoked, sample,
    support::{
        BOUND, DEADLINE, LEASE, Port, Proxy, Server, Verification, WriteStop, await_record,
        connect, create, decide, first_rejection, library, now, primary_that_needs_its_replica,
        promote, reads, replica_of, replicate, replicated_config, report, revoke, verify, wait_for,
        wait_until, warm_up,
    },
    try_revoke,
};

/// Verifies for a while, and asserts that nothing is decided.
#[track_caller]
fn assert_undecided(keys: &Keywright, issued: &Issued) {
    let end = now() + DEADLINE;
    while now() < end {
        assert_eq!(verify(keys, issued), Verification::Undecided);
        thread::sleep(LEASE / 200);
    }
}

#[test]
fn an_old_primary_that_has_stopped_writing_decides_nothing() {
    let (primary, proxy, replica) = primary_that_needs_its_replica();
    let left_behind = library(RedisConfig::new(primary.url()));
    let issued = create(&left_behind);
    warm_up(&left_behind, &issued, &primary);
    await_record(&replica, &issued.key.id);

    proxy.set_silent(true);
    promote(&replica);
    revoke(&library(replica.config()), &issued);
    let revoked = now();
    // The old primary takes a while to notice that it has lost its replica.
    let mut write_stop = WriteStop::default();
    let accepted_for = wait_for("the key is not accepted", || {
        let stopped = write_stop.poll(&primary);
        let began = now();
        let verification = verify(&left_behind, &issued);
        if verification == Verification::Accepted {
            assert!(stopped.is_none_or(|stopped| began - stopped <= BOUND));
            return None;
        }
        assert_eq!(verification, Verification::Undecided);
        stopped.map(|_| began - revoked)
    });
    report(
        "revoked elsewhere, not accepted by a library left behind",
        vec![accepted_for],
    );
    assert_undecided(&left_behind, &issued);
}

#[test]
fn a_replica_that_has_lost_its_primary_decides_nothing() {
    let [old, new] = [(); 2].map(|()| Server::start());
    let keys = library(RedisConfig::new(old.url()));
    let issued = create(&keys);
    warm_up(&keys, &issued, &old);
    // The new server becomes the primary, with all keys, and the old server becomes its replica.
    let proxy = Proxy::before(new.port());
    replicate(&new, old.port());
    promote(&new);
    replicate(&old, proxy.port());
    proxy.set_silent(true);
    revoke(&library(new.config()), &issued);
    let (began, verification) = first_rejection(&keys, &issued, now(), BOUND);
    assert_eq!(verification, Verification::Undecided);
    report(
        "revoked elsewhere, first not accepted over a replica",
        vec![began],
    );
    assert_undecided(&keys, &issued);
}

#[test]
fn an_empty_replica_denies_no_key() {
    let server = Server::start();
    let keys = library(RedisConfig::new(server.url()));
    let issued = create(&keys);
    // A replica whose primary cannot be reached, as empty as at the start of an interrupted
    // transfer.
    let unused = Port::reserve();
    let line = format!("REPLICAOF 127.0.0.1 {}", unused.number());
    let () = server.run(&line).unwrap();
    let () = server.run("CONFIG SET replica-read-only no").unwrap();
    let () = server.run("FLUSHALL").unwrap();
    let () = server.run("CONFIG SET replica-read-only yes").unwrap();
    assert_undecided(&keys, &issued);
}

#[test]
fn changes_follow_an_address_to_the_new_primary_while_connections_to_the_old_primary_stay_open() {
    let old = Server::start();
    let new = replica_of(old.port());
    let address = Proxy::before(old.port());
    let store = connect(replicated_config(address.url()));
    let direct = old.store();
    let [first, second] = [(); 2].map(|()| insert(&direct, sample::record()));
    wait_until("the old primary accepts a change", || {
        block_on(try_revoke(&store, &first)).is_ok()
    });
    await_record(&new, &second.key.id);

    promote(&new);
    address.set_target(new.port());
    replicate(&old, new.port());
    wait_until("the new primary accepts a change", || {
        block_on(try_revoke(&store, &second)).is_ok()
    });
    assert!(is_revoked(&new.store(), &second.key.id));
}

#[test]
fn a_record_is_not_cached_if_its_server_is_not_the_tracked_server() {
    wait_for("the tracking connection outlives a try", || {
        let old = Server::start();
        let new = replica_of(old.port());
        let address = Proxy::before(old.port());
        let keys = library(RedisConfig::new(address.url()));
        let issued = create(&keys);
        await_record(&new, &issued.key.id);

        promote(&new);
        address.set_target(new.port());
        // The tracking connection stays, and on it the old server still replies as a primary.
        for id in old.command_clients() {
            let _: redis::RedisResult<i64> = old.run(&format!("CLIENT KILL ID {id}"));
        }
        wait_until("the new server is read", || {
            verify(&keys, &issued) == Verification::Accepted && reads(&new) > 0
        });
        let before = reads(&new);
        for _ in 0..10 {
            assert_eq!(decide(&keys, &issued), Verification::Accepted);
        }
        let read = reads(&new) - before;
        revoke(&library(new.config()), &issued);
        let verification = decide(&keys, &issued);
        // After a late heartbeat the store tracks the new server, and rightly caches its records.
        if old.tracking_clients().len() != 1 {
            return None;
        }
        assert!(read >= 10, "{read} reads for 10 verifications");
        assert_eq!(verification, Verification::Revoked);
        Some(())
    });
}
