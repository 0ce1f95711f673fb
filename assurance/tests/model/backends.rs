//! Backends with a file and with a server.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_assurance::system::Backend;
use keywright_core::store::KeyStore;
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::server::Server;

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
