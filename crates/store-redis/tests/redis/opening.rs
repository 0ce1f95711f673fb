//! Which servers are refused, and what that says.

use futures_executor::block_on;
use keywright_core::{Durability, KeyStore};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore, Unfit};

use crate::{
    story,
    support::{Server, free_port},
};

fn connect(config: RedisConfig) -> Result<RedisStore, OpenError> {
    block_on(RedisStore::connect(config))
}

fn refusal(config: RedisConfig) -> OpenError {
    connect(config).expect_err("this is no store")
}

#[test]
fn a_server_that_evicts_is_refused_by_the_name_of_the_setting() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let server = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let config = RedisConfig::new(server.url());
        let error = refusal(config.clone());
        assert!(matches!(error, OpenError::Unfit(Unfit::Evicts { .. })));
        let text = error.to_string();
        assert!(
            text.contains("set maxmemory-policy to noeviction"),
            "{text}"
        );
        assert!(text.contains(policy), "{text}");
        assert!(connect(config.danger_accept_eviction()).is_ok());
    }
    // Nothing of ours has a time to live.
    let server = Server::with(&["--maxmemory-policy", "volatile-lru"]);
    assert!(connect(RedisConfig::new(server.url())).is_ok());
}

#[test]
fn a_server_without_an_append_only_file_is_refused_by_the_name_of_the_setting() {
    let server = Server::with(&["--appendonly", "no"]);
    let config = RedisConfig::new(server.url());
    let error = refusal(config.clone());
    assert!(matches!(error, OpenError::Unfit(Unfit::NoAppendOnlyFile)));
    let text = error.to_string();
    assert!(text.contains("set appendonly to yes"), "{text}");
    let store = connect(config.danger_accept_no_append_only_file()).unwrap();
    assert_eq!(store.durability(), Durability::Process);
}

#[test]
fn a_store_is_as_durable_as_its_server_says() {
    let server = Server::start();
    assert_eq!(server.store().durability(), Durability::HostCrash);
    let _: () = server.run("CONFIG SET appendfsync everysec").unwrap();
    assert_eq!(server.store().durability(), Durability::ProcessCrash);
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let server = Server::start();
    drop(server.store());
    let _: () = server.run("SET kw:s:format 2").unwrap();
    let error = refusal(RedisConfig::new(server.url()));
    assert!(matches!(error, OpenError::NewerFormat { .. }), "{error:?}");
}

#[test]
fn what_is_no_server_is_refused_without_a_word_about_the_password() {
    for url in [
        "",
        "localhost",
        "http://:secret@localhost",
        "redis://",
        "redis://:secret@localhost:port",
        "redis://0.0.0.0",
    ] {
        let error = refusal(RedisConfig::new(url));
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
        assert!(!story(&error).contains("secret"), "{}", story(&error));
    }
    let url = format!("redis://:secret@127.0.0.1:{}", free_port());
    let config = RedisConfig::new(url);
    assert!(!format!("{config:?}").contains("secret"));
    let error = refusal(config);
    assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
    let shown = format!("{error:?} {}", story(&error));
    assert!(!shown.contains("secret"), "{shown}");
    for namespace in ["", "a:b", "{a}", "A"] {
        let config = RedisConfig::new("redis://localhost").with_namespace(namespace);
        assert!(matches!(refusal(config), OpenError::Namespace));
    }
}

#[test]
fn namespaces_on_one_server_are_stores_of_their_own() {
    let server = Server::start();
    let config = RedisConfig::new(server.url());
    let [one, two] =
        ["one", "two"].map(|name| connect(config.clone().with_namespace(name)).unwrap());
    let record = crate::insert(&one, crate::sample::record());
    assert!(block_on(two.is_empty()).unwrap());
    assert!(block_on(two.find(&record.key.id)).unwrap().is_none());
    assert!(!block_on(one.is_empty()).unwrap());
    let shown = format!("{one:?}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
}

/// A runtime of tokio that is dropped by another one's thread waits there, and panics.
#[tokio::test]
async fn a_store_is_opened_and_dropped_by_the_thread_of_an_executor() {
    let server = Server::start();
    let config = RedisConfig::new(server.url());
    let store = RedisStore::connect(config).await.unwrap();
    assert!(store.is_empty().await.unwrap());
    drop(store);
}
