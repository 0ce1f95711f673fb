//! A server whose memory is full.

use futures_executor::block_on;
use keywright_core::{
    EventKind, Key, ListEvents, Name, Timestamp,
    store::{KeyStore, StoreErrorKind},
};
use redis::Commands;

use crate::{
    events, find, history, insert, names, revoke, revoke_all, revoked, sample,
    support::{
        Copy, LEASE, PATIENCE, Server, connect, now, replica_of, replicated_config, wait_until,
        without_reconnects,
    },
    try_revoke, try_update,
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
    let new = sample::record();
    let event = sample::event(&new.key, EventKind::Created);
    let rejected = block_on(here.insert(&new, sample::now(), Some(&event))).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    revoke(&here, &single);
    assert_eq!(revoke_all(&here, &root), 3);
    for copy in &mut copies {
        wait_until("the key is rejected", || !copy.accepts_when_available());
    }
    set_limit(&server, 0);
    assert_eq!(
        history(&here, &single.key.id),
        [EventKind::Created, revoked(false, 1)]
    );
    assert_eq!(
        history(&here, &root.key.id),
        [EventKind::Created, revoked(true, 3)]
    );
    let entries: usize = server.redis().zcard(names::EVENT_INDEX).unwrap();
    assert_eq!(entries, 6, "the rejected creation has left none");
    assert_eq!(events(&there, ListEvents::new()).len(), 6);
    insert(&here, sample::record());
}

#[test]
fn a_server_with_full_memory_accepts_updates_that_do_not_make_a_record_longer() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let mut record = sample::record();
    record.key.expires_at = Some(Timestamp::MAX);
    let mut record = insert(&here, record);
    fill(&server);
    let changes: [fn(&mut Key); 3] = [
        |key| key.enabled = false,
        |key| key.permissions = "calls:read".parse().unwrap(),
        |key| key.expires_at = Some(sample::now()),
    ];
    for change in changes {
        let copy = Copy::usable(&there, record.key.id);
        let mut changed = record.key.clone();
        change(&mut changed);
        let updated = block_on(try_update(&here, &record, &changed)).unwrap();
        assert_eq!(updated.key, changed);
        (record.key, record.version) = (updated.key, updated.version);
        wait_until("the copy is stale", || !copy.is_current());
        assert_eq!(find(&there, &record.key.id).as_ref(), Some(&record));
    }
    let mut longer = record.key.clone();
    longer.name = Name::parse("a name that is longer than before").unwrap();
    let rejected = block_on(try_update(&here, &record, &longer)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    let updated = [EventKind::Updated; 3];
    let expected = [&[EventKind::Created][..], &updated].concat();
    assert_eq!(history(&there, &record.key.id), expected);
    let entries: usize = server.redis().zcard(names::EVENT_INDEX).unwrap();
    assert_eq!(entries, 4);
    assert_eq!(find(&there, &record.key.id), Some(record));
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
