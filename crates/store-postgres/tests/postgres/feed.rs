//! Changes that other processes make reach the verifiers of this one.

use std::{sync::Arc, time::Duration};

use keywright_core::Reach;
use keywright_store_postgres::PostgresStore;
use sqlx::Connection as _;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    sample::{create, eventually, is_accepted, open, operator},
    schema::Schema,
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
                 AND query LIKE '%' || $1 || '.changes%'",
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
