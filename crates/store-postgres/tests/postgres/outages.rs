//! A pool that is small or closed, and a server that stops, crashes or does not respond.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use keywright_core::{KeyId, Reach, store::KeyStore as _};
use keywright_store_postgres::PostgresStore;

use crate::{
    cluster::Cluster,
    sample::{create, eventually, is_accepted, new_key, open, operator},
    schema::Schema,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_connection_serves_64_tasks() {
    let schema = Schema::new().await;
    let store = PostgresStore::with_config(schema.pool(1).await, schema.config.clone())
        .await
        .unwrap();
    let keys = open(&Arc::new(store)).await;
    let tasks = (0..64).map(|_| {
        let keys = keys.clone();
        tokio::spawn(async move {
            let issued = create(&keys).await;
            assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
            keys.issuer()
                .revoke(&operator(), &issued.key.id, Reach::Descendants)
                .await
                .unwrap();
            assert_eq!(is_accepted(&keys, &issued.token).await, Some(false));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pool_is_an_error_and_no_key_is_denied() {
    let schema = Schema::new().await;
    let pool = schema.pool(2).await;
    let config = schema.config.clone().with_strict();
    let store = PostgresStore::with_config(pool.clone(), config)
        .await
        .unwrap();
    let keys = open(&Arc::new(store)).await;
    let issued = create(&keys).await;
    pool.close().await;
    assert!(keys.issuer().create(&operator(), new_key()).await.is_err());
    assert_eq!(is_accepted(&keys, &issued.token).await, None);
}

/// What the tasks have been told.
#[derive(Default)]
struct Acknowledged {
    created: HashSet<KeyId>,
    revoked: HashSet<KeyId>,
}

/// Creates and revokes keys until `stop`. Errors are expected while the server is down.
async fn load(store: Arc<PostgresStore>, stop: Arc<AtomicBool>) -> Acknowledged {
    let keys = open(&store).await;
    let mut acknowledged = Acknowledged::default();
    while !stop.load(Ordering::Relaxed) {
        let Ok(issued) = keys.issuer().create(&operator(), new_key()).await else {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            continue;
        };
        let id = issued.key.id;
        acknowledged.created.insert(id);
        let revoked = keys.issuer().revoke(&operator(), &id, Reach::Key).await;
        if revoked.is_ok() {
            acknowledged.revoked.insert(id);
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_under_load_loses_nothing_that_was_acknowledged() {
    let cluster = Arc::new(Cluster::durable());
    let config = keywright_store_postgres::PostgresConfig::new();
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(4)
        .connect(&cluster.url())
        .await
        .unwrap();
    keywright_store_postgres::migrate(&pool, &config)
        .await
        .unwrap();
    let store = Arc::new(PostgresStore::with_config(pool, config).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..16)
        .map(|_| tokio::spawn(load(Arc::clone(&store), Arc::clone(&stop))))
        .collect();
    for _ in 0..3 {
        // Some work, a crash, and some work while the server recovers.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        cluster.crash();
        cluster.restart();
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Acknowledged::default();
    for task in tasks {
        let acknowledged = task.await.unwrap();
        all.created.extend(acknowledged.created);
        all.revoked.extend(acknowledged.revoked);
    }
    assert!(!all.revoked.is_empty());
    eventually("the server", async || store.ping().await.is_ok()).await;
    for id in &all.created {
        let record = store.find(id).await.unwrap().unwrap();
        if all.revoked.contains(id) {
            assert!(record.key.revoked_at.is_some(), "{id} is active again");
        }
        // One event for the creation, and one for the revocation if it happened.
        let list = keywright_core::ListEvents::new().with_key(*id);
        let events = open(&store)
            .await
            .issuer()
            .events(&operator(), list)
            .await
            .unwrap();
        let expected = 1 + usize::from(record.key.revoked_at.is_some());
        assert_eq!(events.events.len(), expected, "{id}");
    }
}
