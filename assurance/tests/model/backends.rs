//! Backends with a file and with a server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_executor::block_on;
use keywright_assurance::system::Backend;
use keywright_core::store::KeyStore;
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{cluster::Cluster, server::Server};

/// A SQLite file in a temporary folder.
pub(crate) struct SqliteBackend(TempDir);

impl SqliteBackend {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Backend for SqliteBackend {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(SqliteStore::open(self.0.path().join("keys.db")).unwrap())
    }

    fn staleness_bound(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// A Redis server, which is emptied first.
pub(crate) struct RedisBackend<'s>(&'s Server);

impl<'s> RedisBackend<'s> {
    pub(crate) fn on(server: &'s Server) -> Self {
        let () = server.run("FLUSHALL").unwrap();
        Self(server)
    }
}

impl Backend for RedisBackend<'_> {
    fn open(&self) -> Arc<dyn KeyStore> {
        // Longer than a busy machine delays a call. By default, it fails after two seconds.
        let config = RedisConfig::new(self.0.url()).with_deadline(Duration::from_secs(60));
        Arc::new(block_on(RedisStore::connect(config)).unwrap())
    }

    fn staleness_bound(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// A private PostgreSQL server, and the runtime of the stores in it.
pub(crate) struct PostgresServer {
    runtime: Runtime,
    cluster: Arc<Cluster>,
    /// The number of schemas that were created.
    schemas: AtomicU32,
}

impl PostgresServer {
    pub(crate) fn start() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            cluster: Cluster::shared(),
            schemas: AtomicU32::new(0),
        }
    }

    async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(2)
            // Longer than a busy machine delays a call.
            .acquire_timeout(Duration::from_secs(60))
            .connect(&self.cluster.url())
            .await
            .unwrap()
    }
}

/// A schema on a PostgreSQL server. It is dropped with its tables.
pub(crate) struct PostgresBackend<'s> {
    server: &'s PostgresServer,
    config: PostgresConfig,
    schema: String,
}

impl<'s> PostgresBackend<'s> {
    /// Creates a schema with empty tables.
    pub(crate) fn on(server: &'s PostgresServer) -> Self {
        let schema = format!("model_{}", server.schemas.fetch_add(1, Ordering::Relaxed));
        let config = PostgresConfig::new()
            .with_schema(&schema)
            .unwrap()
            .with_staleness_bound(POSTGRES_BOUND);
        server.runtime.block_on(async {
            let pool = server.pool().await;
            migrate(&pool, &config).await.unwrap();
            pool.close().await;
        });
        Self {
            server,
            config,
            schema,
        }
    }
}

/// The shortest that the store accepts. A process waits for its next poll whenever it has to catch
/// up with the other.
const POSTGRES_BOUND: Duration = Duration::from_millis(200);

impl Backend for PostgresBackend<'_> {
    fn open(&self) -> Arc<dyn KeyStore> {
        self.server.runtime.block_on(async {
            let store = PostgresStore::with_config(self.server.pool().await, self.config.clone());
            Arc::new(store.await.unwrap())
        })
    }

    fn staleness_bound(&self) -> Duration {
        POSTGRES_BOUND
    }
}

impl Drop for PostgresBackend<'_> {
    fn drop(&mut self) {
        self.server.runtime.block_on(async {
            let pool = self.server.pool().await;
            let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
            // After a failed sequence, an operation may still hold a lock.
            let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&pool).await;
            pool.close().await;
        });
    }
}
