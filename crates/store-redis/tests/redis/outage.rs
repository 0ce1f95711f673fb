//! A server that is killed, stalls, forgets or refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{KeyId, KeyStore, Reach, Record, StoreErrorKind};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::Commands;
use tokio::task::JoinSet;

use crate::{
    insert, is_revoked, names, revoke, sample,
    support::{
        Copy, DEADLINE, LEASE, PATIENT, Proxy, SLACK, Server, comes_to, connect, now, report,
    },
};

fn kind_of(store: &RedisStore, id: &KeyId) -> Option<StoreErrorKind> {
    block_on(store.find(id)).err().map(|error| error.kind())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_revoked_comes_back_when_the_server_crashes() {
    let mut server = Server::start();
    let store = server.store();
    for _ in 0..3 {
        let running = AtomicBool::new(true);
        let written = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| write_until_it_fails(&store, &running)))
                .collect();
            thread::sleep(Duration::from_millis(300));
            server.kill();
            running.store(false, Ordering::SeqCst);
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect::<Vec<_>>()
        });
        server.restart();
        for (created, revoked) in written {
            assert!(!created.is_empty() && !revoked.is_empty());
            for id in created {
                assert!(comes_to(|| block_on(store.find(&id)).is_ok()));
                assert!(block_on(store.find(&id)).unwrap().is_some(), "{id} is lost");
            }
            for id in revoked {
                assert!(is_revoked(&store, &id), "{id} has come back");
            }
        }
    }
}

/// What was acknowledged as created, and of that as revoked.
fn write_until_it_fails(store: &RedisStore, running: &AtomicBool) -> (Vec<KeyId>, Vec<KeyId>) {
    let mut created = Vec::new();
    let mut revoked = Vec::new();
    while running.load(Ordering::SeqCst) {
        let record = sample::record();
        if block_on(store.insert(&record, sample::now())).is_err() {
            break;
        }
        created.push(record.key.id);
        if created.len() % 2 == 0 {
            let Record { key, .. } = &record;
            let answer = block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now()));
            if answer.is_err() {
                break;
            }
            revoked.push(record.key.id);
        }
    }
    (created, revoked)
}

#[test]
fn copies_live_for_one_lease_while_the_server_is_away_and_then_nothing_is_decided() {
    let mut server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let mut copy = Copy::usable(&store, record.key.id);
    server.kill();
    let killed = now();
    let mut trusted = Duration::ZERO;
    assert!(comes_to(|| {
        let looked = now();
        let usable = copy.is_usable();
        if usable {
            trusted = looked - killed;
        }
        !usable
    }));
    assert!(trusted <= LEASE, "{trusted:?}");
    assert_eq!(
        copy.accepts().unwrap_err().kind(),
        StoreErrorKind::Unavailable
    );
    server.restart();
    assert!(comes_to(|| copy.accepts().is_ok_and(|accepted| accepted)));
    assert!(comes_to(|| Copy::of(&store, record.key.id).is_usable()));
}

#[test]
fn a_change_whose_answer_is_lost_is_unavailable_and_the_store_recovers_by_itself() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()));
    let record = insert(&store, sample::record());
    for round in 0..5 {
        if round % 2 == 0 {
            proxy.set_silent(true);
            let Record { key, .. } = &record;
            let answer = block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now()));
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Unavailable);
            proxy.set_silent(false);
        } else {
            proxy.cut();
        }
        assert!(comes_to(|| kind_of(&store, &record.key.id).is_none()));
    }
    insert(&store, sample::record());
}

#[test]
fn a_connection_that_is_lost_while_it_is_made_is_given_up() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()));
    let record = insert(&store, sample::record());
    proxy.set_losing(true);
    proxy.cut();
    assert!(comes_to(|| kind_of(&store, &record.key.id).is_some()));
    proxy.set_losing(false);
    assert!(comes_to(|| kind_of(&store, &record.key.id).is_none()));
}

#[test]
fn each_of_many_reads_is_over_in_time_when_the_server_falls_silent() {
    const READS: usize = 5000;
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()));
    let store = Arc::new(store);
    let record = insert(&store, sample::record());
    assert!(comes_to(|| kind_of(&store, &record.key.id).is_none()));
    proxy.set_silent(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let times = runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..READS {
            let store = Arc::clone(&store);
            running.spawn(async move {
                let began = now();
                let found = store.find(&record.key.id).await;
                assert_eq!(found.unwrap_err().kind(), StoreErrorKind::Unavailable);
                now() - began
            });
        }
        running.join_all().await
    });
    report("reads of a server that has fallen silent", times.clone());
    assert!(times.into_iter().max() < Some(DEADLINE + SLACK));
}

#[test]
fn reads_survive_connections_that_are_killed_and_scripts_that_are_forgotten() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..20 {
        let record = insert(&store, sample::record());
        let _: () = server.run("SCRIPT FLUSH").unwrap();
        revoke(&store, &record);
        let _: i64 = server.run("CLIENT KILL TYPE normal").unwrap();
        assert!(is_revoked(&store, &record.key.id));
    }
}

#[test]
fn a_server_that_sleeps_is_unavailable_and_then_is_not() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _: () = server.run("DEBUG SLEEP 4").unwrap();
        });
        thread::sleep(Duration::from_millis(200));
        assert_eq!(
            kind_of(&store, &record.key.id),
            Some(StoreErrorKind::Unavailable)
        );
        assert!(!copy.is_usable());
    });
    assert!(comes_to(|| kind_of(&store, &record.key.id).is_none()));
    assert!(comes_to(|| Copy::of(&store, record.key.id).is_usable()));
}

#[test]
fn a_user_that_is_let_in_no_more_gets_no_decision() {
    let server = Server::start();
    let _: () = server.run("ACL SETUSER keys on >one ~* &* +@all").unwrap();
    let url = |password| format!("redis://keys:{password}@127.0.0.1:{}", server.port());
    let store = connect(RedisConfig::new(url("one")));
    let record = insert(&store, sample::record());
    let refused = block_on(RedisStore::connect(RedisConfig::new(url("two")))).unwrap_err();
    let story = crate::story(&refused);
    assert!(story.contains("no Redis server can be used"), "{story}");
    assert!(!story.contains("two"), "{story}");

    let _: () = server.run("ACL SETUSER keys resetpass >three").unwrap();
    let _: i64 = server.run("CLIENT KILL USER keys").unwrap();
    assert_eq!(
        kind_of(&store, &record.key.id),
        Some(StoreErrorKind::Unavailable)
    );
    let _: () = server.run("ACL SETUSER keys resetpass >one").unwrap();
    assert!(comes_to(|| kind_of(&store, &record.key.id).is_none()));
}

#[test]
fn calls_wait_for_a_server_that_starts_again() {
    let mut server = Server::start();
    let config = RedisConfig::new(server.url()).with_deadline(PATIENT);
    let store = connect(config);
    let record = insert(&store, sample::record());
    server.kill();
    let found = thread::scope(|scope| {
        let finding = scope.spawn(|| block_on(store.find(&record.key.id)));
        // It has met a port that nobody listens on by then.
        thread::sleep(Duration::from_millis(200));
        server.restart();
        finding.join().unwrap()
    });
    assert_eq!(found.unwrap(), Some(record));
}

#[test]
fn what_is_no_record_is_corrupt_and_never_accepted() {
    let server = Server::start();
    let store = server.store();
    let mut redis = server.redis();
    let record = insert(&store, sample::record());
    let name = names::record(&record.key.id);
    let whole: Vec<u8> = redis.get(&name).unwrap();

    for length in 0..whole.len() {
        let _: () = redis.set(&name, &whole[..length]).unwrap();
        assert_corrupt(&store, &record, &format!("cut off after {length}"));
    }
    let longer = [whole.as_slice(), b"x"].concat();
    let _: () = redis.set(&name, longer).unwrap();
    assert_corrupt(&store, &record, "one byte more");
    let newer = [&[2], &whole[1..]].concat();
    let _: () = redis.set(&name, newer).unwrap();
    assert_corrupt(&store, &record, "a newer format");
    for other in ["LPUSH", "SADD"] {
        let _: () = redis.del(&name).unwrap();
        let _: () = redis::cmd(other)
            .arg(&name)
            .arg("x")
            .query(&mut redis)
            .unwrap();
        assert_corrupt(&store, &record, other);
    }
    let _: () = redis.set(&name, &whole).unwrap();
    assert!(!is_revoked(&store, &record.key.id));
}

fn assert_corrupt(store: &RedisStore, record: &Record, what: &str) {
    let Record { key, version, .. } = record;
    let corrupt = Some(StoreErrorKind::Corrupt);
    assert_eq!(kind_of(store, &key.id), corrupt, "{what}");
    assert!(!block_on(store.is_empty()).unwrap(), "{what}");
    let revoked =
        block_on(store.revoke(&key.workspace, &key.id, Reach::Descendants, sample::now()));
    assert_eq!(revoked.err().map(|error| error.kind()), corrupt, "{what}");
    let rehashed = block_on(store.rehash(&key.id, *version, &record.credential));
    assert_eq!(rehashed.err().map(|error| error.kind()), corrupt, "{what}");
    let child = sample::child_of(record);
    let inserted = block_on(store.insert(&child, sample::now()));
    assert_eq!(inserted.err().map(|error| error.kind()), corrupt, "{what}");
}
