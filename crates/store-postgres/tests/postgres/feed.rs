//! Changes that other processes make reach the verifiers of this one.

use std::{sync::Arc, time::Duration};

use keywright_core::Reach;
use keywright_store_postgres::PostgresStore;
use sqlx::{Connection as _, PgPool};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    cluster::PATIENCE,
    sample::{create, eventually, execute, is_accepted, open, operator, revoke},
    schema::{Schema, id_text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_server_revokes_is_rejected() {
    let schema = Schema::new().await;
    let (first, second) = (schema.store().await, schema.store().await);
    let (ours, theirs) = (open(&first).await, open(&second).await);
    for _ in 0..20 {
        let issued = create(&ours).await;
        assert_eq!(is_accepted(&ours, &issued.token).await, Some(true));
        let id = issued.key.id;
        theirs
            .issuer()
            .revoke(&operator(), &id, Reach::Key)
            .await
            .unwrap();
        assert_eq!(is_accepted(&theirs, &issued.token).await, Some(false));
        eventually("the rejection", async || {
            is_accepted(&ours, &issued.token).await == Some(false)
        })
        .await;
        // It stays rejected.
        for _ in 0..100 {
            assert_eq!(is_accepted(&ours, &issued.token).await, Some(false));
        }
    }
}

/// The feed compares snapshots, not numbers: a transaction with a lower number may commit after one
/// with a higher number.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_began_first_and_commits_last_is_not_missed() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let (slow_key, fast_key) = (create(&keys).await, create(&keys).await);
    for issued in [&slow_key, &fast_key] {
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    }
    let revoke = |id: keywright_core::KeyId| {
        let id = id.to_string().replace("key_", "");
        format!(
            "UPDATE {0}.keys SET revoked_at = 1, version = version + 1 WHERE id = '{id}'; \
             INSERT INTO {0}.changes (id) VALUES ('{id}')",
            schema.name
        )
    };
    let mut slow = sqlx::PgConnection::connect(&schema.cluster.url())
        .await
        .unwrap();
    let begin = format!("BEGIN; {}", revoke(slow_key.key.id));
    sqlx::raw_sql(sqlx::AssertSqlSafe(begin))
        .execute(&mut slow)
        .await
        .unwrap();
    schema.execute(&revoke(fast_key.key.id)).await;
    eventually("the rejection of the fast key", async || {
        is_accepted(&keys, &fast_key.token).await == Some(false)
    })
    .await;
    assert_eq!(is_accepted(&keys, &slow_key.token).await, Some(true));
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
    eventually("the rejection of the slow key", async || {
        is_accepted(&keys, &slow_key.token).await == Some(false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_whose_connection_is_killed_again_and_again_hides_no_revocation() {
    let schema = Schema::new().await;
    let (first, second) = (schema.store().await, schema.store().await);
    let (ours, theirs) = (open(&first).await, open(&second).await);
    let (stop, mut stopped) = oneshot::channel::<()>();
    let pool = schema.pool(1).await;
    let feeds = schema.name.clone();
    let killer = tokio::spawn(async move {
        let mut killed = 0_u64;
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            let row = sqlx::query_scalar::<_, i64>(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE pid <> pg_backend_pid() AND query LIKE '%pg_current_snapshot%' \
                 AND query LIKE '%\"' || $1 || '\".changes%'",
            )
            .bind(&feeds)
            .fetch_one(&pool)
            .await
            .unwrap();
            killed += row.unsigned_abs();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        killed
    });
    for _ in 0..20 {
        let issued = create(&ours).await;
        assert_eq!(is_accepted(&ours, &issued.token).await, Some(true));
        theirs
            .issuer()
            .revoke(&operator(), &issued.key.id, Reach::Key)
            .await
            .unwrap();
        eventually("the rejection", async || {
            is_accepted(&ours, &issued.token).await == Some(false)
        })
        .await;
    }
    drop(stop);
    assert!(killer.await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_store_rejects_a_key_at_once() {
    let schema = Schema::new().await;
    let config = schema.config.clone().with_strict();
    let strict = PostgresStore::with_config(schema.pool(4).await, config)
        .await
        .unwrap();
    let other = schema.store().await;
    let (ours, theirs) = (open(&Arc::new(strict)).await, open(&other).await);
    for _ in 0..20 {
        let issued = create(&ours).await;
        assert_eq!(is_accepted(&ours, &issued.token).await, Some(true));
        theirs
            .issuer()
            .revoke(&operator(), &issued.key.id, Reach::Key)
            .await
            .unwrap();
        assert_eq!(is_accepted(&ours, &issued.token).await, Some(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_changes_than_a_poll_returns_make_all_copies_stale() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let (revoked, other) = (create(&keys).await, create(&keys).await);
    for issued in [&revoked, &other] {
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    }
    // The entry of the key is the last of 5,000.
    let id = id_text(&revoked.key.id);
    schema
        .execute(&format!(
            "BEGIN; UPDATE {{schema}}.keys SET revoked_at = 1 WHERE id = '{id}'; \
             INSERT INTO {{schema}}.changes (id) SELECT '0U5lKt' || lpad(n::text, 10, '0') \
             FROM generate_series(1, 4999) AS n; \
             INSERT INTO {{schema}}.changes (id) VALUES ('{id}'); COMMIT"
        ))
        .await;
    eventually("the rejection", async || {
        is_accepted(&keys, &revoked.token).await == Some(false)
    })
    .await;
    assert_eq!(is_accepted(&keys, &other.token).await, Some(true));
}

/// Counts the connections of the feeds of a schema.
async fn feeds(schema: &Schema) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
         AND query LIKE '%pg_current_snapshot%' AND query LIKE '%\"' || $1 || '\".changes%'",
    )
    .bind(&schema.name)
    .fetch_one(&schema.pool(1).await)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_ends_with_its_store_and_with_the_pool() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    eventually("the feed", async || feeds(&schema).await == 1).await;
    drop(store);
    eventually("the end of the feed", async || feeds(&schema).await == 0).await;

    let pool = schema.pool(2).await;
    let store = PostgresStore::with_config(pool.clone(), schema.config.clone()).await;
    let keys = open(&Arc::new(store.unwrap())).await;
    let issued = create(&keys).await;
    eventually("the feed", async || feeds(&schema).await == 1).await;
    pool.close().await;
    eventually("the end of the feed", async || feeds(&schema).await == 0).await;
    // The lease lapses, and the verifier cannot decide.
    eventually("the end of the lease", async || {
        is_accepted(&keys, &issued.token).await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_follows_the_pool_to_another_server() {
    let schema = Schema::new().await;
    let pool = schema.pool(4).await;
    let store = PostgresStore::with_config(pool.clone(), schema.config.clone())
        .await
        .unwrap();
    let feeds = async |application: &str| {
        sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 \
             AND query LIKE '%pg_current_snapshot%'",
        )
        .bind(application)
        .fetch_one(&schema.pool(1).await)
        .await
        .unwrap()
    };
    let options = (*pool.connect_options()).clone();
    let name = format!("other-{}", schema.name);
    pool.set_connect_options(options.application_name(&name));
    eventually("a feed with the new options", async || {
        feeds(&name).await == 1
    })
    .await;
    drop(store);
}

/// If all processes are strict, no feed polls, and the table would grow without a limit. The clocks
/// of the process and of the server move by ten minutes again and again.
#[tokio::test]
async fn a_strict_store_deletes_old_changes() {
    let schema = Schema::new().await;
    let clock = format!("clock_{}", schema.name);
    let admin = schema.pool(1).await;
    let create_clock = format!(
        "CREATE SCHEMA {clock}; CREATE TABLE {clock}.ahead AS SELECT interval '0' AS ahead; \
         CREATE FUNCTION {clock}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
         'SELECT pg_catalog.clock_timestamp() + ahead FROM {clock}.ahead'"
    );
    execute(&admin, create_clock).await;
    let path = format!("{clock},pg_catalog");
    let options = (*admin.connect_options()).clone();
    let pool = PgPool::connect_with(options.options([("search_path", path)])).await;
    let config = schema.config.clone().with_strict();
    let store = PostgresStore::with_config(pool.unwrap(), config).await;
    let keys = open(&Arc::new(store.unwrap())).await;
    let issued = create(&keys).await;
    revoke(&keys, &issued.key.id).await.unwrap();
    assert_eq!(schema.count("changes").await, 1);

    // While a thread blocks, the paused clock moves only with `advance`.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let blocked = tokio::task::spawn_blocking(move || released.recv());
    tokio::time::pause();
    let end = std::time::Instant::now() + PATIENCE;
    let ahead = format!("UPDATE {clock}.ahead SET ahead = ahead + interval '11 minutes'");
    let count = format!("SELECT count(*) FROM {}.changes", schema.name);
    loop {
        execute(&admin, ahead.as_str()).await;
        tokio::time::advance(Duration::from_secs(660)).await;
        // The store works meanwhile.
        for _ in 0..20 {
            execute(&admin, "SELECT pg_sleep(0.01)").await;
        }
        let left = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count.clone()));
        if left.fetch_one(&admin).await.unwrap() == 0 {
            break;
        }
        assert!(std::time::Instant::now() < end, "the change is not deleted");
    }
    drop(release);
    blocked.await.unwrap().unwrap_err();
}
