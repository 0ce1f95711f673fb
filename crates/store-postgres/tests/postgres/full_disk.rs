//! The disk of the server is full. A limit on the size of each file has the same effects:
//! PostgreSQL cannot extend a table, or cannot create the next file of its log.

use std::collections::HashSet;

use keywright_core::{KeyId, Keywright, store::KeyStore as _};
use keywright_store_postgres::PostgresConfig;

use crate::{
    cluster::Cluster,
    sample::{
        assert_events_match, create, eventually, execute, is_accepted, is_unknown, migrated,
        new_key, open, operator, revoke, store_at,
    },
};

/// The size of each file of the log. With this limit, the log can still grow.
const LOG_FILE: u64 = 1024 * 1024;

/// Makes the table of keys this large, with rows that a table of a host might have.
const FILL: &str = "DO $$ BEGIN WHILE pg_relation_size('keywright.keys') < 1048576 LOOP \
     INSERT INTO keywright.keys (id, workspace, test, name, folded_name, permissions, enabled, \
     hash, tag, version) VALUES (gen_random_uuid()::text, 'filler', false, \
     (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 40) AS n), '', '', false, '', \
     '', 0); END LOOP; END $$";

/// Creates keys until the server cannot, and returns those that were created.
async fn create_until_full(keys: &Keywright) -> HashSet<KeyId> {
    let mut created = HashSet::new();
    loop {
        match keys.issuer().create(&operator(), new_key()).await {
            Ok(issued) => created.insert(issued.key.id),
            Err(error) => {
                assert!(is_unknown::<()>(&Err(error)));
                return created;
            }
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_is_full_loses_nothing_and_keys_are_still_verified() {
    let cluster = Cluster::with_options("-c autovacuum=off");
    let pool = migrated(&cluster).await;
    let config = PostgresConfig::new();
    let store = store_at(&cluster.url(), 4, &config).await;
    let keys = open(&store).await;
    let (kept, revoked) = (create(&keys).await, create(&keys).await);
    execute(&pool, FILL).await;

    // The tables cannot grow.
    cluster.limit_file_size(Some(LOG_FILE));
    let mut created = create_until_full(&keys).await;
    assert_eq!(is_accepted(&keys, &kept.token).await, Some(true));
    // A key that is not cached.
    assert_eq!(
        is_accepted(&open(&store).await, &kept.token).await,
        Some(true)
    );
    let full = revoke(&keys, &revoked.key.id).await;
    assert!(full.is_ok() || is_unknown(&full));
    cluster.limit_file_size(None);
    created.insert(create(&keys).await.key.id);
    if full.is_err() {
        revoke(&keys, &revoked.key.id).await.unwrap();
    }

    // The log cannot grow, and the server stops.
    cluster.limit_file_size(Some(LOG_FILE / 2));
    while !cluster.has_panicked() {
        created.extend(create_until_full(&keys).await);
        // Begins the next file of the log. This fails once the server has stopped.
        let next_file = "CREATE TABLE IF NOT EXISTS host (n int); INSERT INTO host VALUES (1); \
             SELECT pg_switch_wal()";
        let _ = sqlx::raw_sql(next_file).execute(&pool).await;
    }
    cluster.stop();
    cluster.restart();
    eventually("the server", async || store.ping().await.is_ok()).await;
    assert_eq!(is_accepted(&keys, &kept.token).await, Some(true));
    assert_eq!(is_accepted(&keys, &revoked.token).await, Some(false));
    for id in &created {
        assert!(store.find(id).await.unwrap().is_some());
    }
    execute(
        &pool,
        "DELETE FROM keywright.keys WHERE workspace = 'filler'",
    )
    .await;
    assert_events_match(&pool, "keywright").await;
}
