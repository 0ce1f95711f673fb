//! A server whose memory is full.

use futures_executor::block_on;
use keywright_core::store::{KeyStore, StoreErrorKind};

use crate::{
    insert, revoke, revoke_all, sample,
    support::{
        Copy, LEASE, PATIENCE, Server, connect, now, replica_of, replicated_config, wait_until,
        without_reconnects,
    },
    try_revoke,
};

/// Lowers the limit below what any server uses.
fn fill(server: &Server) {
    set_limit(server, 1);
    let rejected: redis::RedisResult<()> = server.run("SET other 1");
    assert_eq!(rejected.unwrap_err().code(), Some("OOM"));
}

fn set_limit(server: &Server, bytes: u64) {
    let () = server
        .run(&format!("CONFIG SET maxmemory {bytes}"))
        .unwrap();
}

#[test]
fn a_server_with_full_memory_accepts_revocations_and_no_creations() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let root = insert(&here, sample::record());
    let child = insert(&here, sample::child_of(&root));
    let grandchild = insert(&here, sample::child_of(&child));
    let single = insert(&here, sample::record());
    let mut copies =
        [&root, &child, &grandchild, &single].map(|record| Copy::usable(&there, record.key.id));
    fill(&server);
    let rejected = block_on(here.insert(&sample::record(), sample::now())).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    revoke(&here, &single);
    assert_eq!(revoke_all(&here, &root), 3);
    for copy in &mut copies {
        wait_until("the key is rejected", || !copy.accepts_when_available());
    }
    set_limit(&server, 0);
    insert(&here, sample::record());
}

#[test]
fn copies_stay_usable_while_the_memory_is_full() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    without_reconnects(&server, || {
        set_limit(&server, 0);
        let copy = Copy::usable(&store, record.key.id);
        fill(&server);
        let filled = now();
        // Only heartbeats that the full server has accepted extend the lease that long.
        wait_until("the lease holds, or the copy is stale", || {
            now() - filled > 2 * LEASE && (copy.is_usable() || !copy.is_current())
        });
        match copy.is_current() {
            true => Ok(()),
            false => Err("a copy is stale although nothing has changed".into()),
        }
    });
}

#[test]
fn replicas_confirm_a_revocation_while_the_memory_is_full() {
    let primary = Server::start();
    let _replica = replica_of(primary.port());
    let store = connect(replicated_config(primary.url()).with_deadline(4 * PATIENCE));
    let record = insert(&store, sample::record());
    fill(&primary);
    for _ in 0..2 {
        block_on(try_revoke(&store, &record)).unwrap();
    }
}
