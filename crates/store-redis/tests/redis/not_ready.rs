//! A server that replies to every command with an error: it is loading, busy, or a replica without
//! its primary.

use std::{error::Error, thread};

use futures_executor::block_on;
use keywright_core::{
    Reach,
    store::{KeyStore, Record, StoreError, StoreErrorKind},
};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};

use crate::{
    chain, find, insert, is_revoked, revoke, sample,
    support::{Copy, DEADLINE, Port, Server, connect_error, now, returns, wait_for, wait_until},
};

/// A store that was opened before the server began to reject commands, and its keys.
struct Subject {
    store: RedisStore,
    active: Record,
    revoked: Record,
}

impl Subject {
    fn on(server: &Server) -> Self {
        let patient = server.store();
        let [active, revoked] = [(); 2].map(|()| insert(&patient, sample::record()));
        revoke(&patient, &revoked);
        Self {
            store: server.store_with_default_deadline(),
            active,
            revoked,
        }
    }

    /// Asserts that no key is decided and no change is acknowledged, and that the error of each
    /// call has one of these reasons.
    fn assert_rejected(&self, server: &Server, copy: &Copy<'_>, reasons: &[&str]) {
        let has_reason = |error: &dyn Error| {
            let chain = chain(error);
            reasons.iter().any(|reason| chain.contains(reason))
        };
        let Record { key, .. } = &self.active;
        let (store, time) = (&self.store, sample::now());
        thread::scope(|scope| {
            scope.spawn(|| assert_unavailable("find", has_reason, || store.find(&key.id)));
            scope.spawn(|| {
                let new = sample::record();
                assert_unavailable("insert", has_reason, || store.insert(&new, time, None));
            });
            scope.spawn(|| {
                let (workspace, reach) = (&key.workspace, Reach::Descendants);
                assert_unavailable("revoke", has_reason, || {
                    store.revoke(workspace, &key.id, reach, time, None)
                });
            });
            let error = connect_error(&RedisConfig::new(server.url()), |error| has_reason(error));
            assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
        });
        assert!(!copy.is_usable());
    }

    /// Asserts that the store recovers by itself, with the keys from before. A change that was
    /// reported as unavailable may have been made, if the last attempt was just before the
    /// deadline.
    fn assert_recovers(&self) {
        assert!(find(&self.store, &self.active.key.id).is_some());
        assert!(is_revoked(&self.store, &self.revoked.key.id));
        let copy = Copy::usable(&self.store, self.active.key.id);
        revoke(&self.store, &self.active);
        assert!(!copy.is_usable());
        assert!(is_revoked(&self.store, &self.active.key.id));
        wait_until("a record is inserted", || {
            block_on(self.store.insert(&sample::record(), sample::now(), None)).is_ok()
        });
    }
}

/// Makes a call that must be unavailable, until its error has an expected reason. A slow machine
/// may make any attempt end before there is a reason.
fn assert_unavailable<T, F>(
    what: &str,
    is_expected: impl Fn(&dyn Error) -> bool,
    mut call: impl FnMut() -> F,
) where
    F: Future<Output = Result<T, StoreError>>,
{
    wait_for(what, || {
        let error = returns(call()).err().expect(what);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{what}");
        is_expected(&error).then_some(())
    });
}

/// Ends the script that keeps a server busy, even when the test panics.
struct BusyScript<'s>(&'s Server);

impl Drop for BusyScript<'_> {
    fn drop(&mut self) {
        let _: redis::RedisResult<()> = self.0.run("SCRIPT KILL");
    }
}

#[test]
fn a_server_that_a_script_keeps_busy_decides_nothing_until_the_script_is_killed() {
    let server = Server::with(&["--lua-time-limit", "50"]);
    let subject = Subject::on(&server);
    let copy = Copy::usable(&subject.store, subject.active.key.id);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut endless = redis::cmd("EVAL");
            endless.arg("while true do end").arg(0);
            let ended: redis::RedisResult<()> = endless.query(&mut server.redis());
            assert!(ended.is_err());
        });
        wait_until("the server is busy", || {
            let answer: redis::RedisResult<i64> = server.run("DBSIZE");
            answer.is_err_and(|error| error.code() == Some("BUSY"))
        });
        let script = BusyScript(&server);
        wait_until("the lease lapses", || !copy.is_usable());
        subject.assert_rejected(&server, &copy, &["BUSY"]);
        drop(script);
    });
    subject.assert_recovers();
}

#[test]
fn a_loading_server_decides_nothing_and_is_not_mistaken_for_a_server_without_a_file() {
    // The server replies about twice a second while it loads. Unless the test ends it, loading
    // takes at least 100 seconds.
    const KEYS: u32 = 200_000;
    let mut server = Server::with(&["--key-load-delay", "500"]);
    let subject = Subject::on(&server);
    let copy = Copy::usable(&subject.store, subject.active.key.id);
    let mut fill = redis::cmd("EVAL");
    fill.arg("for n = 1, ARGV[1] do redis.call('SET', 'other:' .. n, n) end")
        .arg(0)
        .arg(KEYS);
    let () = fill.query(&mut server.redis()).unwrap();
    server.kill();
    server.restart_without_waiting();
    let is_loading = || {
        let client = redis::Client::open(server.socket_url())?;
        redis::cmd("DBSIZE").query::<i64>(&mut client.get_connection()?)
    };
    let is_loading = || is_loading().is_err_and(|error| error.code() == Some("LOADING"));
    wait_until("the server is loading", is_loading);
    subject.assert_rejected(&server, &copy, &["still loading", "not reply in time"]);
    assert_few_connections(&server);
    assert!(is_loading(), "the server has loaded too fast for this test");
    let () = server.run("CONFIG SET key-load-delay 0").unwrap();
    subject.assert_recovers();
}

#[test]
fn a_replica_without_its_primary_decides_nothing_until_it_is_promoted() {
    let server = Server::with(&["--replica-serve-stale-data", "no"]);
    let subject = Subject::on(&server);
    let copy = Copy::usable(&subject.store, subject.active.key.id);
    let unused = Port::reserve();
    let line = format!("REPLICAOF 127.0.0.1 {}", unused.number());
    let () = server.run(&line).unwrap();
    wait_until("the lease lapses", || !copy.is_usable());
    subject.assert_rejected(&server, &copy, &["MasterDown", "ReadOnly"]);
    assert_few_connections(&server);
    let () = server.run("REPLICAOF NO ONE").unwrap();
    subject.assert_recovers();
}

/// Asserts that a store which is rejected pauses between its connections.
fn assert_few_connections(server: &Server) {
    // A slow server may accept all pending connections in one interval, so a single interval proves
    // nothing.
    wait_until("the store makes few connections", || {
        let start = now();
        let before = server.connections();
        thread::sleep(DEADLINE);
        // Two of the connections are the test's own.
        let made = server.connections() - before;
        let intervals = (now() - start).as_secs_f64() / DEADLINE.as_secs_f64();
        println!("{made} connections in {intervals:.1} intervals of {DEADLINE:?}");
        f64::from(u32::try_from(made).unwrap()) < 2.0 + 18.0 * intervals
    });
}
