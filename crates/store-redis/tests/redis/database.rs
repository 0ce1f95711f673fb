//! A numbered database of a server.

use futures_executor::block_on;
use keywright_core::{
    Environment, ListKeys, Prefix, Reach, Timestamp,
    store::{KeyStore, Purge, StoreErrorKind},
};
use keywright_store_redis::{RedisConfig, RedisStore};

use crate::{
    chain,
    conformance::ACL,
    find, insert, is_revoked, revoke, sample,
    support::{Copy, PATIENCE, Server, clustered_server, connect, connect_error, wait_until},
};

fn store_in(server: &Server, database: u8) -> RedisStore {
    let url = format!("{}/{database}", server.url());
    connect(RedisConfig::new(url).with_deadline(PATIENCE))
}

#[test]
fn changes_in_a_numbered_database_are_tracked() {
    let server = Server::start();
    let here = store_in(&server, 3);
    let url = format!("{}?db=3", server.socket_url());
    let there = connect(RedisConfig::new(url).with_deadline(PATIENCE));
    for _ in 0..20 {
        let record = insert(&here, sample::record());
        let copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        wait_until("the copy is stale", || !copy.is_usable());
        assert!(is_revoked(&there, &record.key.id));
    }
    let record = insert(&here, sample::record());
    let copy = Copy::usable(&there, record.key.id);
    let _: i64 = server.run("CLIENT KILL TYPE normal").unwrap();
    wait_until("the copy is stale", || !copy.is_usable());
    Copy::usable(&there, record.key.id);
    let size: i64 = server.run("DBSIZE").unwrap();
    assert_eq!(size, 0, "the first database is not empty");
}

#[test]
fn stores_in_two_databases_are_independent() {
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
    assert_eq!(find(&four, id), None);
    let listing = ListKeys::new().with_limit(10);
    let page = block_on(four.list(&workspace, Environment::Live, &listing, sample::now())).unwrap();
    assert_eq!((page.keys.len(), page.total), (0, Some(0)));
    let revoked = block_on(four.revoke(&workspace, id, Reach::Descendants, sample::now(), None));
    assert_eq!(revoked.unwrap_err().kind(), StoreErrorKind::NotFound);

    // The same id in the other database is another key.
    insert(&four, record.clone());
    revoke(&four, &record);
    let purged = block_on(four.purge(&Purge::new(10).with_revoked_before(Timestamp::MAX))).unwrap();
    assert_eq!(purged, 1);
    assert_eq!(find(&three, id), Some(record.clone()));
    let mut flush = redis::pipe();
    flush.cmd("SELECT").arg(4).cmd("FLUSHDB");
    let () = flush.query(&mut server.redis()).unwrap();
    Copy::usable(&three, *id);
    assert_eq!(find(&three, id), Some(record));
}

#[test]
fn a_limited_user_needs_the_right_to_select_a_database() {
    let server = Server::start();
    let _: () = server
        .run(&format!("ACL SETUSER keys on >one {ACL}"))
        .unwrap();
    let url = format!("redis://keys:one@127.0.0.1:{}/3", server.port());
    let config = RedisConfig::new(url).with_deadline(PATIENCE);
    connect_error(&config, |error| chain(error).contains("'select' command"));
    let _: () = server.run("ACL SETUSER keys +select").unwrap();
    let store = connect(config);
    let record = insert(&store, sample::record());
    let copy = Copy::usable(&store, record.key.id);
    revoke(&store, &record);
    assert!(!copy.is_usable());
}

#[test]
fn a_cluster_rejects_a_numbered_database() {
    let (server, _bus) = clustered_server(tempfile::tempdir().unwrap(), &[]);
    let config = RedisConfig::new(format!("{}/3", server.url())).with_deadline(PATIENCE);
    connect_error(&config, |error| {
        chain(error).contains("SELECT is not allowed in cluster mode")
    });
}
