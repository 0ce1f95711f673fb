//! Connections that the server ends: of who is told more than it takes, and of who says nothing.

use futures_executor::block_on;
use keywright_core::{KeyStore, Reach, Record};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::Commands;

use crate::{
    insert, names, revoke, sample,
    support::{
        BOUND, Copy, LEASE, Server, assert_refused_in_time, comes_to, connect, now, replica_of,
    },
};

/// Changes a record and many others in one step: more than a client may be told of at once.
const FLOOD: &str = "redis.call('SET', KEYS[1], ARGV[1])
    for n = 1, 5000 do redis.call('SET', 'kw:r:{other}:' .. n, n) end";

/// A record as it is stored, and as it is once it is revoked; it is not, yet.
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
fn who_is_thrown_out_for_all_that_it_is_told_trusts_nothing_that_it_has() {
    let server = Server::start();
    let store = server.store();
    let _: () = redis::cmd("CONFIG")
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
        let hearing = server.hearing_clients();
        assert_eq!(hearing.len(), 1);
        let () = redis::cmd("EVAL")
            .arg(FLOOD)
            .arg(1)
            .arg(names::record(&record.key.id))
            .arg(revoked)
            .query(&mut server.redis())
            .unwrap();
        let changed = now();
        assert_refused_in_time(changed, || copy.accepts().unwrap_or(false));
        // It was not told: it has been thrown out instead, and listens again.
        assert!(comes_to(|| {
            let others = server.hearing_clients();
            !others.is_empty() && others != hearing
        }));
        assert!(comes_to(|| copy.accepts().is_ok()));
        assert!(!copy.accepts().unwrap());
    }
}

#[test]
fn who_is_thrown_out_again_and_again_accepts_nothing_that_was_revoked_meanwhile() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let record = insert(&here, sample::record());
    let mut copy = Copy::usable(&there, record.key.id);
    let start = now();
    let mut acknowledged = None;
    let mut kills = 0;
    while now() - start < 2 * LEASE {
        kills += server.run::<i64>("CLIENT KILL TYPE normal").unwrap();
        if acknowledged.is_none() && now() - start > LEASE / 2 {
            let Record { key, .. } = &record;
            let revoked = here.revoke(&key.workspace, &key.id, Reach::Key, sample::now());
            acknowledged = block_on(revoked).ok().map(|_| now());
        }
        let looked = now();
        let accepted = copy.accepts().unwrap_or(false);
        if let Some(acknowledged) = acknowledged {
            assert!(!accepted || looked - acknowledged <= BOUND);
        }
    }
    assert!(kills > 10, "{kills}");
    assert!(comes_to(|| copy.accepts().is_ok()));
    revoke(&here, &record);
    assert!(comes_to(|| copy.accepts().is_ok_and(|accepted| !accepted)));
    let other = insert(&here, sample::record());
    assert!(Copy::usable(&there, other.key.id).is_usable());
}

/// Waits until the server has ended the connections of clients that say nothing. Who listens says that
/// it does, and so do replicas.
fn await_idle_end(server: &Server, replicas: usize) {
    let _: () = server.run("CONFIG SET timeout 1").unwrap();
    assert!(comes_to(|| server.clients().len() == 1 + replicas));
    assert!(!server.hearing_clients().is_empty());
}

#[test]
fn a_change_is_made_after_the_server_has_ended_an_idle_connection() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    await_idle_end(&server, 0);
    revoke(&store, &record);
}

#[test]
fn a_change_that_replicas_confirm_is_made_after_the_server_has_ended_an_idle_connection() {
    let server = Server::with(&["--repl-diskless-sync-delay", "0"]);
    let _replica = replica_of(server.port());
    let config = RedisConfig::new(server.url()).with_min_replicas(1);
    let store = connect(config);
    let record = insert(&store, sample::record());
    await_idle_end(&server, 1);
    revoke(&store, &record);
}
