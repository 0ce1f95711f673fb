//! A server that crashes, stalls, loses connections or rejects a user.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    KeyId, Reach,
    store::{KeyStore, Record, StoreErrorKind},
};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};
use redis::Commands;
use tokio::task::JoinSet;

use crate::{
    chain, find, insert, is_revoked, names, revoke, sample,
    support::{Copy, LEASE, PATIENCE, Proxy, Server, StopOnDrop, connect, now, report, wait_until},
    try_revoke,
};

/// Reads once, and returns the kind of its error, or `None` if it succeeds.
fn read_error(store: &RedisStore, id: &KeyId) -> Option<StoreErrorKind> {
    block_on(store.find(id)).err().map(|error| error.kind())
}

#[test]
fn a_crash_loses_no_acknowledged_creation_and_no_acknowledged_revocation() {
    const WRITERS: usize = 4;
    let mut server = Server::start();
    let store = server.store_with_default_deadline();
    for _ in 0..3 {
        let running = AtomicBool::new(true);
        let ready = AtomicUsize::new(0);
        let written = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| scope.spawn(|| write_until_stopped(&store, &running, &ready)))
                .collect();
            let stop = StopOnDrop(&running);
            wait_until("each writer has revoked a key", || {
                ready.load(Ordering::SeqCst) == WRITERS
            });
            thread::sleep(Duration::from_millis(100));
            server.kill();
            drop(stop);
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect::<Vec<_>>()
        });
        server.restart();
        for (created, revoked) in written {
            assert!(!created.is_empty() && !revoked.is_empty());
            for id in created {
                assert!(find(&store, &id).is_some(), "{id} is lost");
            }
            for id in revoked {
                assert!(is_revoked(&store, &id), "the revocation of {id} is lost");
            }
        }
    }
}

/// Creates keys and revokes every other one. Returns the acknowledged creations and revocations.
fn write_until_stopped(
    store: &RedisStore,
    running: &AtomicBool,
    ready: &AtomicUsize,
) -> (Vec<KeyId>, Vec<KeyId>) {
    let mut created = Vec::new();
    let mut revoked = Vec::new();
    while running.load(Ordering::SeqCst) {
        let record = sample::record();
        if block_on(store.insert(&record, sample::now(), None)).is_err() {
            continue;
        }
        created.push(record.key.id);
        if created.len() % 2 == 0 && block_on(try_revoke(store, &record)).is_ok() {
            revoked.push(record.key.id);
            if revoked.len() == 1 {
                ready.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    (created, revoked)
}

#[test]
fn copies_outlive_a_killed_server_by_one_lease_and_then_nothing_is_decided() {
    let mut server = Server::start();
    let store = server.store_with_default_deadline();
    let record = insert(&server.store(), sample::record());
    let mut copy = Copy::usable(&store, record.key.id);
    server.kill();
    let killed = now();
    wait_until("the lease lapses", || {
        let checked = now();
        let usable = copy.is_usable();
        assert!(!usable || checked - killed <= LEASE);
        !usable
    });
    assert_eq!(
        copy.accepts().unwrap_err().kind(),
        StoreErrorKind::Unavailable
    );
    server.restart();
    assert!(copy.accepts_when_available());
    Copy::usable(&store, record.key.id);
}

#[test]
fn a_change_whose_reply_is_lost_is_unavailable_and_the_store_recovers() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()));
    let record = insert(&server.store(), sample::record());
    for round in 0..5 {
        if round % 2 == 0 {
            proxy.set_silent(true);
            let revoked = block_on(try_revoke(&store, &record));
            assert_eq!(revoked.unwrap_err().kind(), StoreErrorKind::Unavailable);
            proxy.set_silent(false);
        } else {
            proxy.cut();
        }
        assert!(find(&store, &record.key.id).is_some());
    }
    wait_until("a record is inserted", || {
        block_on(store.insert(&sample::record(), sample::now(), None)).is_ok()
    });
}

#[test]
fn a_connection_that_is_lost_during_its_handshake_is_given_up() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()));
    let record = insert(&server.store(), sample::record());
    proxy.set_losing(true);
    proxy.cut();
    wait_until("a read fails", || {
        read_error(&store, &record.key.id).is_some()
    });
    proxy.set_losing(false);
    assert!(find(&store, &record.key.id).is_some());
}

#[test]
fn thousands_of_reads_end_together_when_the_server_goes_silent() {
    // If each batch waited for the timeout of the previous batch, the reads would take more than a
    // minute and a half.
    const READS: usize = 5000;
    const DEADLINE: Duration = Duration::from_secs(5);
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = connect(RedisConfig::new(proxy.url()).with_deadline(DEADLINE));
    let store = Arc::new(store);
    let record = insert(&server.store(), sample::record());
    assert!(find(&store, &record.key.id).is_some());
    proxy.set_silent(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let reads = async {
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
    };
    let times = runtime.block_on(async { tokio::time::timeout(PATIENCE, reads).await });
    report(
        "reads of a server that has gone silent",
        times.expect("the reads do not end"),
    );
}

#[test]
fn the_store_survives_killed_connections_and_flushed_scripts() {
    let server = Server::start();
    let store = server.store();
    for _ in 0..20 {
        let record = insert(&store, sample::record());
        let () = server.run("SCRIPT FLUSH").unwrap();
        revoke(&store, &record);
        let _: i64 = server.run("CLIENT KILL TYPE normal").unwrap();
        assert!(is_revoked(&store, &record.key.id));
    }
}

#[test]
fn a_server_that_sleeps_is_unavailable_and_recovers() {
    let server = Server::start();
    let store = server.store_with_default_deadline();
    let record = insert(&server.store(), sample::record());
    let copy = Copy::usable(&store, record.key.id);
    let sleeping = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            while sleeping.load(Ordering::SeqCst) {
                let () = server.run("DEBUG SLEEP 4").unwrap();
            }
        });
        let wake = StopOnDrop(&sleeping);
        wait_until("a read is unavailable and the lease has lapsed", || {
            let error = read_error(&store, &record.key.id);
            assert!(matches!(error, None | Some(StoreErrorKind::Unavailable)));
            error.is_some() && !copy.is_usable()
        });
        drop(wake);
    });
    assert!(find(&store, &record.key.id).is_some());
    Copy::usable(&store, record.key.id);
}

#[test]
fn a_user_whose_password_has_changed_gets_no_decision() {
    let server = Server::start();
    let () = server.run("ACL SETUSER keys on >one ~* &* +@all").unwrap();
    let config = |password| {
        let url = format!("redis://keys:{password}@127.0.0.1:{}", server.port());
        RedisConfig::new(url).with_deadline(PATIENCE)
    };
    let store = connect(config("one"));
    let record = insert(&store, sample::record());
    let rejected = block_on(RedisStore::connect(config("two"))).unwrap_err();
    assert!(
        matches!(rejected, OpenError::Unreachable(_)),
        "{rejected:?}"
    );
    assert!(!chain(&rejected).contains("two"), "{}", chain(&rejected));

    let () = server.run("ACL SETUSER keys resetpass >three").unwrap();
    let _: i64 = server.run("CLIENT KILL USER keys").unwrap();
    assert_eq!(
        read_error(&store, &record.key.id),
        Some(StoreErrorKind::Unavailable)
    );
    let () = server.run("ACL SETUSER keys resetpass >one").unwrap();
    assert!(find(&store, &record.key.id).is_some());
}

#[test]
fn a_call_waits_for_a_server_that_restarts() {
    let mut server = Server::start();
    let store = server.store();
    let config = RedisConfig::new(server.url()).with_deadline(Duration::from_millis(500));
    let hasty = connect(config);
    let record = insert(&store, sample::record());
    server.kill();
    let found = thread::scope(|scope| {
        let (sender, started) = mpsc::channel();
        let (store, id) = (&store, &record.key.id);
        let finding = scope.spawn(move || {
            sender.send(()).unwrap();
            block_on(store.find(id))
        });
        started.recv().unwrap();
        // Another store gives up in the meantime.
        let unavailable = Some(StoreErrorKind::Unavailable);
        assert_eq!(read_error(&hasty, id), unavailable);
        server.restart();
        finding.join().unwrap()
    });
    assert_eq!(found.unwrap(), Some(record));
}

#[test]
fn a_damaged_record_is_corrupt_and_never_accepted() {
    let server = Server::start();
    let store = server.store();
    let mut redis = server.redis();
    let record = insert(&store, sample::record());
    let name = names::record(&record.key.id);
    let whole: Vec<u8> = redis.get(&name).unwrap();

    for length in 0..whole.len() {
        let _: () = redis.set(&name, &whole[..length]).unwrap();
        assert_corrupt(&store, &record, &format!("{length} bytes of the record"));
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
    assert_eq!(read_error(store, &key.id), corrupt, "{what}");
    assert!(!block_on(store.is_empty()).unwrap(), "{what}");
    let revoked = block_on(store.revoke(
        &key.workspace,
        &key.id,
        Reach::Descendants,
        sample::now(),
        None,
    ));
    assert_eq!(revoked.err().map(|error| error.kind()), corrupt, "{what}");
    let rehashed = block_on(store.rehash(&key.id, *version, &record.credential));
    assert_eq!(rehashed.err().map(|error| error.kind()), corrupt, "{what}");
    let child = sample::child_of(record);
    let inserted = block_on(store.insert(&child, sample::now(), None));
    assert_eq!(inserted.err().map(|error| error.kind()), corrupt, "{what}");
}
