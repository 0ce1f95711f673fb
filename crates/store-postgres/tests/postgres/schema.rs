//! A schema in the shared cluster.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keywright_core::KeyId;
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::cluster::Cluster;

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A schema with the tables of an empty store.
pub(crate) struct Schema {
    pub(crate) config: PostgresConfig,
    pub(crate) name: String,
    pub(crate) cluster: Arc<Cluster>,
}

impl Schema {
    /// Creates a schema without tables.
    pub(crate) fn empty() -> Self {
        let name = format!("keys_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self {
            config: PostgresConfig::new().with_schema(&name).unwrap(),
            name,
            cluster: Cluster::shared(),
        }
    }

    pub(crate) async fn new() -> Self {
        let schema = Self::empty();
        migrate(&schema.pool(1).await, &schema.config)
            .await
            .unwrap();
        schema
    }

    pub(crate) async fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .connect(&self.cluster.url())
            .await
            .unwrap()
    }

    pub(crate) async fn store(&self) -> Arc<PostgresStore> {
        let pool = self.pool(4).await;
        Arc::new(
            PostgresStore::with_config(pool, self.config.clone())
                .await
                .unwrap(),
        )
    }

    /// Executes statements, in which `{schema}` stands for the name of the schema.
    pub(crate) async fn execute(&self, sql: &str) -> u64 {
        let sql = sql.replace("{schema}", &self.name);
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&self.pool(1).await)
            .await
            .unwrap()
            .rows_affected()
    }

    /// Counts rows. `{schema}.` precedes the text.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.{rows}", self.name);
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.pool(1).await)
            .await
            .unwrap()
    }

    /// Adds copies of a key, with the numbers `n` from 1. `fields` is a list of columns and values.
    pub(crate) async fn add_copies(&self, id: &KeyId, count: u32, fields: &str) {
        let id = id_text(id);
        self.execute(&format!(
            "INSERT INTO {{schema}}.keys SELECT copy.* FROM {{schema}}.keys AS k, \
             generate_series(1, {count}) AS n, jsonb_populate_record(k, jsonb_build_object( \
             'id', '0U5lKt' || lpad(n::text, 10, '0'), {fields})) AS copy WHERE k.id = '{id}'"
        ))
        .await;
    }
}

/// Returns an id as the tables contain it.
pub(crate) fn id_text(id: &KeyId) -> String {
    id.to_string().replace("key_", "")
}
