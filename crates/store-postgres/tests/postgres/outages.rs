//! A pool that is small or closed, and a server that stops, crashes or does not respond.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use keywright_core::{KeyId, Keywright, Reach, store::KeyStore as _};
use keywright_store_postgres::{PostgresConfig, PostgresStore};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::{
    cluster::Cluster,
    sample::{
        assert_events_match, create, eventually, execute, is_accepted, is_unknown, migrated,
        new_key, open, operator, revoke, store_at,
    },
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

/// The changes that were acknowledged.
#[derive(Default)]
struct Acknowledged {
    created: HashSet<KeyId>,
    revoked: HashSet<KeyId>,
}

/// Creates and revokes keys until `stop`. Errors are expected while the server is down.
async fn load(keys: Keywright, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    while !stop.load(Ordering::Relaxed) {
        let created = keys.issuer().create(&operator(), new_key()).await;
        let Ok(issued) = created else {
            assert!(is_unknown(&created), "{:?}", created.err());
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let id = issued.key.id;
        acknowledged.created.insert(id);
        let revoked = revoke(&keys, &id).await;
        assert!(revoked.is_ok() || is_unknown(&revoked), "{revoked:?}");
        if revoked.is_ok() {
            acknowledged.revoked.insert(id);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    acknowledged
}

/// Runs 16 tasks over two servers while the failures happen. Each failure waits until some changes
/// have been acknowledged since the one before. Then asserts that nothing was lost.
async fn assert_nothing_is_lost(
    stores: [&Arc<PostgresStore>; 2],
    pool: &PgPool,
    schema: &str,
    failures: u32,
    fail: impl AsyncFn(),
) {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut tasks = Vec::new();
    for _ in 0..8 {
        for store in stores {
            let keys = open(store).await;
            let task = load(keys, Arc::clone(&stop), Arc::clone(&count));
            tasks.push(tokio::spawn(task));
        }
    }
    for _ in 0..failures {
        let before = count.load(Ordering::Relaxed);
        eventually("some changes", async || {
            count.load(Ordering::Relaxed) > before + 50
        })
        .await;
        fail().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Acknowledged::default();
    for task in tasks {
        let acknowledged = task.await.unwrap();
        all.created.extend(acknowledged.created);
        all.revoked.extend(acknowledged.revoked);
    }
    for store in stores {
        eventually("the server", async || store.ping().await.is_ok()).await;
        for id in &all.created {
            let record = store.find(id).await.unwrap().unwrap();
            let is_lost = all.revoked.contains(id) && record.key.revoked_at.is_none();
            assert!(!is_lost, "{id} is active again");
        }
    }
    assert_events_match(pool, schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_under_load_loses_nothing_that_was_acknowledged() {
    let cluster = Cluster::durable();
    let pool = migrated(&cluster).await;
    let config = PostgresConfig::new();
    let first = store_at(&cluster.url(), 4, &config).await;
    let second = store_at(&cluster.url(), 4, &config).await;
    assert_nothing_is_lost([&first, &second], &pool, "keywright", 4, async || {
        cluster.crash();
        cluster.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_terminated_under_load_lose_nothing_that_was_acknowledged() {
    let schema = Schema::new().await;
    let role = format!("terminated_{}", schema.name);
    schema
        .execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER"))
        .await;
    let url = schema
        .cluster
        .url()
        .replace("keywright@", &format!("{role}@"));
    let first = store_at(&url, 4, &schema.config).await;
    let second = store_at(&url, 4, &schema.config).await;
    let pool = schema.pool(1).await;
    let terminate =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    assert_nothing_is_lost([&first, &second], &pool, &schema.name, 20, async || {
        execute(&pool, &*terminate).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_denies_no_key_and_is_used_again() {
    let cluster =
        Cluster::with_options("-c max_connections=12 -c superuser_reserved_connections=0");
    let pool = migrated(&cluster).await;
    let config = PostgresConfig::new();
    let keys = open(&store_at(&cluster.url(), 4, &config).await).await;
    let (kept, revoked) = (create(&keys).await, create(&keys).await);
    for issued in [&kept, &revoked] {
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    }

    // Others take all connections except one, although the store connects again and again.
    let url = format!("{}?application_name=other", cluster.url());
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
         AND application_name <> 'other'";
    let mut others = Vec::new();
    while others.len() < 11 {
        match PgConnection::connect(&url).await {
            Ok(other) => others.push(other),
            Err(_) => execute(&pool, terminate).await,
        }
    }
    let created = keys.issuer().create(&operator(), new_key()).await.map(drop);
    assert!(is_unknown(&created), "{created:?}");
    assert_eq!(is_accepted(&keys, &kept.token).await, None);
    let sql = "UPDATE keywright.keys SET revoked_at = 1 WHERE id = '{id}'; \
         INSERT INTO keywright.changes (id) VALUES ('{id}')";
    let id = revoked.key.id.to_string().replace("key_", "");
    execute(&pool, sql.replace("{id}", &id)).await;

    drop(others);
    eventually("a connection", async || {
        let accepted = is_accepted(&keys, &kept.token).await;
        assert_ne!(accepted, Some(false));
        accepted == Some(true)
    })
    .await;
    assert_eq!(is_accepted(&keys, &revoked.token).await, Some(false));
    // The feed has a connection again, and reports changes.
    let other = open(&store_at(&cluster.url(), 2, &config).await).await;
    revoke(&other, &kept.key.id).await.unwrap();
    eventually("the revocation", async || {
        is_accepted(&keys, &kept.token).await == Some(false)
    })
    .await;
    create(&keys).await;
}
