//! The conformance suite over PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keywright_core::{KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use support::Cluster;
use tokio::runtime::Runtime;

/// A store in a schema of the shared cluster.
struct InSchema {
    runtime: Runtime,
    config: PostgresConfig,
    schema: String,
    cluster: Arc<Cluster>,
}

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

impl InSchema {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let schema = format!("keys_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let config = PostgresConfig::new().with_schema(&schema).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let harness = Self {
            runtime,
            config,
            schema,
            cluster,
        };
        harness.runtime.block_on(async {
            migrate(&harness.pool().await, &harness.config)
                .await
                .unwrap();
        });
        harness
    }

    async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(4)
            .connect(&self.cluster.url())
            .await
            .unwrap()
    }
}

impl Harness for InSchema {
    fn open(&self) -> Arc<dyn KeyStore> {
        self.runtime.block_on(async {
            let store = PostgresStore::with_config(self.pool().await, self.config.clone());
            Arc::new(store.await.unwrap()) as Arc<dyn KeyStore>
        })
    }

    fn damage(&self, id: &KeyId) -> bool {
        let id = id.to_string().replace("key_", "");
        let sql = format!(
            "UPDATE {}.keys SET permissions = 'no, permissions' WHERE id = '{id}'",
            self.schema
        );
        self.runtime.block_on(async {
            let damaged = sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&self.pool().await)
                .await;
            damaged.unwrap().rows_affected() == 1
        })
    }
}

conformance_tests!(InSchema::new());
