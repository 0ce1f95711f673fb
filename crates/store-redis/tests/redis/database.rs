//! Another database of a server than its first.

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyStore, ListKeys, Prefix, Purge, Reach, StoreErrorKind, Timestamp,
};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};

use crate::{
    conformance::ACL,
    insert, is_revoked, revoke, sample, story,
    support::{Copy, Server, comes_to, connect},
};

fn store_in(server: &Server, database: u8) -> RedisStore {
    let url = format!("{}/{database}", server.url());
    connect(RedisConfig::new(url))
}

#[test]
fn changes_in_another_database_are_heard_of() {
    let server = Server::start();
    let here = store_in(&server, 3);
    let url = format!("{}?db=3", server.socket_url());
    let there = connect(RedisConfig::new(url));
    for _ in 0..20 {
        let record = insert(&here, sample::record());
        let copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        assert!(comes_to(|| !copy.is_usable()));
        assert!(is_revoked(&there, &record.key.id));
    }
    let record = insert(&here, sample::record());
    let copy = Copy::usable(&there, record.key.id);
    let _: i64 = server.run("CLIENT KILL TYPE normal").unwrap();
    assert!(comes_to(|| !copy.is_usable()));
    Copy::usable(&there, record.key.id);
    let size: i64 = server.run("DBSIZE").unwrap();
    assert_eq!(size, 0, "something is in the first database");
}

#[test]
fn stores_in_two_databases_know_nothing_of_each_other() {
    let server = Server::start();
    let [three, four] = [3, 4].map(|database| store_in(&server, database));
    for (store, prefix) in [(&three, "one"), (&four, "two")] {
        let prefix = Prefix::parse(prefix).unwrap();
        assert_eq!(block_on(store.claim_prefix(&prefix)).unwrap(), prefix);
    }
    let record = insert(&three, sample::record());
    let id = &record.key.id;
    let workspace = sample::workspace();
    assert!(block_on(four.is_empty()).unwrap());
    assert_eq!(block_on(four.find(id)).unwrap(), None);
    let list = ListKeys::new().with_limit(10);
    let page = block_on(four.list(&workspace, Environment::Live, &list, sample::now())).unwrap();
    assert_eq!((page.keys.len(), page.total), (0, Some(0)));
    let revoked = block_on(four.revoke(&workspace, id, Reach::Descendants, sample::now()));
    assert_eq!(revoked.unwrap_err().kind(), StoreErrorKind::NotFound);

    // The same id there is another key.
    insert(&four, record.clone());
    revoke(&four, &record);
    let purged = block_on(four.purge(&Purge::new(Timestamp::MAX, 10))).unwrap();
    assert_eq!(purged, 1);
    assert_eq!(block_on(three.find(id)).unwrap(), Some(record.clone()));
    let mut flush = redis::pipe();
    flush.cmd("SELECT").arg(4).cmd("FLUSHDB");
    let () = flush.query(&mut server.redis()).unwrap();
    assert!(Copy::usable(&three, *id).is_usable());
    assert_eq!(block_on(three.find(id)).unwrap(), Some(record));
}

#[test]
fn a_limited_user_needs_the_right_to_select_a_database() {
    let server = Server::start();
    let _: () = server
        .run(&format!("ACL SETUSER keys on >one {ACL}"))
        .unwrap();
    let url = format!("redis://keys:one@127.0.0.1:{}/3", server.port());
    let connect = || block_on(RedisStore::connect(RedisConfig::new(url.clone())));
    let refused = story(&connect().unwrap_err());
    assert!(refused.contains("'select' command"), "{refused}");
    let _: () = server.run("ACL SETUSER keys +select").unwrap();
    let store = connect().unwrap();
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    revoke(&store, &record);
    assert!(!copy.is_usable());
}

#[test]
fn a_cluster_has_no_other_database_and_says_so() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    let config = RedisConfig::new(format!("{}/3", server.url()));
    let refused = block_on(RedisStore::connect(config)).unwrap_err();
    assert!(matches!(refused, OpenError::Unreachable(_)), "{refused:?}");
    let story = story(&refused);
    assert!(
        story.contains("SELECT is not allowed in cluster mode"),
        "{story}"
    );
}
