//! A server that answers, but not what it is asked: it loads, it is busy, or it has lost its primary.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{KeyStore, Reach, Record, StoreError, StoreErrorKind};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};

use crate::{
    insert, revoke, sample, story,
    support::{Copy, Server, comes_to, free_port, now},
};

/// How long a call may take, and what a test allows for its own steps.
const DEADLINE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(1500);

/// A store that was open before the server began to refuse, and what it has there.
struct Subject {
    store: RedisStore,
    active: Record,
    revoked: Record,
}

impl Subject {
    fn on(server: &Server) -> Self {
        let store = server.store();
        let [active, revoked] = [(); 2].map(|()| insert(&store, sample::record()));
        revoke(&store, &revoked);
        Self {
            store,
            active,
            revoked,
        }
    }

    fn find(&self) -> Result<bool, StoreError> {
        let found = block_on(self.store.find(&self.active.key.id))?.unwrap();
        Ok(found.key.revoked_at.is_none())
    }

    /// Nothing is decided, no change is acknowledged, and each call says in time why.
    fn assert_refused(&self, server: &Server, copy: &Copy<'_>, codes: &[&str]) {
        let assert_says = |what: &str, error: &dyn std::error::Error| {
            let story = story(error);
            let told = codes.iter().any(|code| story.contains(code));
            assert!(told, "{what}: {story}");
        };
        let assert_unavailable = |what: &str, outcome: Result<(), StoreError>| {
            let error = outcome.expect_err(what);
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{what}");
            assert_says(what, &error);
        };
        let Record { key, .. } = &self.active;
        let (store, late, time) = (&self.store, sample::record(), sample::now());
        let began = now();
        thread::scope(|scope| {
            scope.spawn(|| assert_unavailable("find", self.find().map(|_| ())));
            scope.spawn(|| assert_unavailable("insert", block_on(store.insert(&late, time))));
            scope.spawn(|| {
                let revoked = store.revoke(&key.workspace, &key.id, Reach::Descendants, time);
                assert_unavailable("revoke", block_on(revoked).map(|_| ()));
            });
            let config = RedisConfig::new(server.url());
            let refused = block_on(RedisStore::connect(config)).unwrap_err();
            assert!(matches!(refused, OpenError::Unreachable(_)), "{refused:?}");
            assert_says("connect", &refused);
        });
        assert!(now() - began < DEADLINE + SLACK);
        assert!(!copy.is_usable());
    }

    /// It goes on by itself, with what there was before. What was refused may have been done all the
    /// same, if it was sent again just before its time was over.
    fn assert_recovers(&self) {
        assert!(comes_to(|| self.find().is_ok()));
        let found = block_on(self.store.find(&self.revoked.key.id)).unwrap();
        assert!(found.unwrap().key.revoked_at.is_some());
        let copy = Copy::usable(&self.store, self.active.key.id);
        revoke(&self.store, &self.active);
        assert!(!copy.is_usable());
        assert!(!self.find().unwrap());
        insert(&self.store, sample::record());
    }
}

#[test]
fn a_server_that_a_script_keeps_busy_decides_nothing_until_that_is_killed() {
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
        let busy = |answer: redis::RedisResult<i64>| {
            answer.is_err_and(|error| error.code() == Some("BUSY"))
        };
        assert!(comes_to(|| busy(server.run("DBSIZE"))));
        assert!(comes_to(|| !copy.is_usable()));
        subject.assert_refused(&server, &copy, &["BUSY"]);
        let _: () = server.run("SCRIPT KILL").unwrap();
    });
    subject.assert_recovers();
}

#[test]
fn a_server_that_still_loads_decides_nothing_and_is_no_server_without_a_file() {
    const KEYS: u32 = 200_000;
    let mut server = Server::with(&["--key-load-delay", "20"]);
    let subject = Subject::on(&server);
    let copy = Copy::usable(&subject.store, subject.active.key.id);
    let mut fill = redis::cmd("EVAL");
    fill.arg("for n = 1, ARGV[1] do redis.call('SET', 'other:' .. n, n) end")
        .arg(0)
        .arg(KEYS);
    let () = fill.query(&mut server.redis()).unwrap();
    server.kill();
    server.restart_without_waiting();
    let size = || {
        let client = redis::Client::open(server.socket_url())?;
        redis::cmd("DBSIZE").query::<i64>(&mut client.get_connection()?)
    };
    let loads = || size().is_err_and(|error| error.code() == Some("LOADING"));
    assert!(comes_to(loads));
    subject.assert_refused(&server, &copy, &["still loading", "not answered in time"]);
    assert_is_not_stormed(&server);
    assert!(loads(), "it has loaded too fast for this test");
    let _: () = server.run("CONFIG SET key-load-delay 0").unwrap();
    subject.assert_recovers();
}

#[test]
fn a_replica_that_has_lost_its_primary_decides_nothing_until_it_is_one_itself() {
    let server = Server::with(&["--replica-serve-stale-data", "no"]);
    let subject = Subject::on(&server);
    let copy = Copy::usable(&subject.store, subject.active.key.id);
    let line = format!("REPLICAOF 127.0.0.1 {}", free_port());
    let _: () = server.run(&line).unwrap();
    assert!(comes_to(|| !copy.is_usable()));
    subject.assert_refused(&server, &copy, &["MasterDown", "ReadOnly"]);
    assert_is_not_stormed(&server);
    let _: () = server.run("REPLICAOF NO ONE").unwrap();
    subject.assert_recovers();
}

/// Who listens comes back when it was refused, but not at once, again and again.
fn assert_is_not_stormed(server: &Server) {
    let before = server.connections();
    thread::sleep(DEADLINE);
    // Two of them are the test's own.
    let made = server.connections() - before;
    assert!(made < 20, "{made} connections were made in {DEADLINE:?}");
}
