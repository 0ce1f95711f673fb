//! A server whose memory is full, and that refuses to take more.

use std::time::Duration;

use futures_executor::block_on;
use keywright_core::{KeyStore, Reach, StoreErrorKind};
use keywright_store_redis::RedisConfig;

use crate::{
    insert, revoke, revoke_all, sample,
    support::{Copy, LEASE, Server, comes_to, connect, now},
};

fn fill(server: &Server) {
    let _: () = server.run("CONFIG SET maxmemory 1mb").unwrap();
    let refused: redis::RedisResult<()> = server.run("SET other 1");
    assert_eq!(refused.unwrap_err().code(), Some("OOM"));
}

#[test]
fn keys_are_revoked_while_the_memory_is_full_and_nothing_else_is_taken() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let root = insert(&here, sample::record());
    let child = insert(&here, sample::child_of(&root));
    let grandchild = insert(&here, sample::child_of(&child));
    let single = insert(&here, sample::record());
    let mut copies =
        [&root, &child, &grandchild, &single].map(|record| Copy::usable(&there, record.key.id));
    fill(&server);
    let refused = block_on(here.insert(&sample::record(), sample::now())).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    revoke(&here, &single);
    assert_eq!(revoke_all(&here, &root), 3);
    for copy in &mut copies {
        assert!(comes_to(|| !copy.accepts().unwrap()));
    }
    let _: () = server.run("CONFIG SET maxmemory 0").unwrap();
    insert(&here, sample::record());
}

#[test]
fn copies_are_used_while_the_memory_is_full() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    fill(&server);
    let copy = Copy::usable(&store, record.key.id);
    let start = now();
    while now() - start < 2 * LEASE {
        assert!(copy.is_usable());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn replicas_confirm_a_revocation_while_the_memory_is_full() {
    let primary = Server::start();
    let _replica = Server::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let config = RedisConfig::new(primary.url()).with_min_replicas(1);
    let store = connect(config);
    let record = sample::record();
    // Until the replica is there, nothing is confirmed.
    let _ = block_on(store.insert(&record, sample::now()));
    assert!(comes_to(|| block_on(
        store.insert(&sample::record(), sample::now())
    )
    .is_ok()));
    fill(&primary);
    let key = &record.key;
    for _ in 0..2 {
        let revoked = store.revoke(&key.workspace, &key.id, Reach::Key, sample::now());
        block_on(revoked).unwrap();
    }
}
