//! The stores that are real: a file, a server.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_assurance::system::Stage;
use keywright_core::KeyStore;
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::server::Server;

/// A file in a folder of its own.
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Stage for Sqlite {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(SqliteStore::open(self.0.path().join("keys.db")).unwrap())
    }

    fn bound(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// A server that was emptied.
pub(crate) struct Redis<'s>(&'s Server);

impl<'s> Redis<'s> {
    pub(crate) fn on(server: &'s Server) -> Self {
        let () = server.run("FLUSHALL").unwrap();
        Self(server)
    }
}

impl Stage for Redis<'_> {
    fn open(&self) -> Arc<dyn KeyStore> {
        let config = RedisConfig::new(self.0.url());
        Arc::new(block_on(RedisStore::connect(config)).unwrap())
    }

    fn bound(&self) -> Duration {
        Duration::from_secs(1)
    }
}
