//! The servers and configurations that the store rejects, and its error messages.

use futures_executor::block_on;
use keywright_core::store::{Durability, KeyStore};
use keywright_store_redis::{OpenError, RedisConfig, RedisStore, Unfit};

use crate::{
    chain,
    support::{Port, Server, connect, connect_error},
};

/// Connects until the error is not that no server can be reached, and returns the error.
#[track_caller]
fn rejection(config: &RedisConfig) -> OpenError {
    connect_error(config, |error| !matches!(error, OpenError::Unreachable(_)))
}

#[test]
fn a_server_that_evicts_keys_is_rejected_with_the_name_of_the_setting() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let server = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let config = server.config();
        let error = rejection(&config);
        assert!(matches!(error, OpenError::Unfit(Unfit::Evicts { .. })));
        let text = error.to_string();
        assert!(
            text.contains("set maxmemory-policy to noeviction"),
            "{text}"
        );
        assert!(text.contains(policy), "{text}");
        connect(config.danger_accept_eviction());
    }
    // A volatile policy evicts only names with a time to live, and the store's records have none.
    let server = Server::with(&["--maxmemory-policy", "volatile-lru"]);
    connect(server.config());
}

#[test]
fn a_server_without_an_append_only_file_is_rejected_with_the_name_of_the_setting() {
    let server = Server::with(&["--appendonly", "no"]);
    let config = server.config();
    let error = rejection(&config);
    assert!(matches!(error, OpenError::Unfit(Unfit::NoAppendOnlyFile)));
    let text = error.to_string();
    assert!(text.contains("set appendonly to yes"), "{text}");
    let store = connect(config.danger_accept_no_append_only_file());
    assert_eq!(store.durability(), Durability::Process);
}

#[test]
fn the_durability_of_a_store_is_that_of_its_server() {
    let server = Server::start();
    assert_eq!(server.store().durability(), Durability::HostCrash);
    let () = server.run("CONFIG SET appendfsync everysec").unwrap();
    assert_eq!(server.store().durability(), Durability::ProcessCrash);
}

#[test]
fn a_store_with_a_newer_format_is_rejected() {
    let server = Server::start();
    drop(server.store());
    let () = server.run("SET kw:s:format 2").unwrap();
    let error = rejection(&server.config());
    assert!(matches!(error, OpenError::NewerFormat { .. }), "{error:?}");
}

#[test]
fn errors_about_urls_and_servers_do_not_contain_the_password() {
    for url in [
        "",
        "localhost",
        "http://:secret@localhost",
        "redis://",
        "redis://:secret@localhost:port",
        "redis://0.0.0.0",
    ] {
        let error = rejection(&RedisConfig::new(url));
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
        assert!(!chain(&error).contains("secret"), "{}", chain(&error));
    }
    let unused = Port::reserve();
    let url = format!("redis://:secret@127.0.0.1:{}", unused.number());
    let config = RedisConfig::new(url);
    assert!(!format!("{config:?}").contains("secret"));
    let error = block_on(RedisStore::connect(config)).unwrap_err();
    assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
    let shown = format!("{error:?} {}", chain(&error));
    assert!(!shown.contains("secret"), "{shown}");
    for namespace in ["", "a:b", "{a}", "A"] {
        let config = RedisConfig::new("redis://localhost").with_namespace(namespace);
        assert!(matches!(rejection(&config), OpenError::Namespace));
    }
}

#[test]
fn namespaces_on_one_server_are_independent_stores() {
    let server = Server::start();
    let config = server.config();
    let [one, two] = ["one", "two"].map(|name| connect(config.clone().with_namespace(name)));
    let record = crate::insert(&one, crate::sample::record());
    assert!(block_on(two.is_empty()).unwrap());
    assert!(block_on(two.find(&record.key.id)).unwrap().is_none());
    assert!(!block_on(one.is_empty()).unwrap());
    let shown = format!("{one:?}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
}

/// A tokio runtime panics if the thread of another runtime drops it and waits for it.
#[tokio::test]
async fn a_store_is_opened_and_dropped_on_the_thread_of_an_async_runtime() {
    let server = Server::start();
    let store = RedisStore::connect(server.config()).await.unwrap();
    assert!(store.is_empty().await.unwrap());
    drop(store);
}
