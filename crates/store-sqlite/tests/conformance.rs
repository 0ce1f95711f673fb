//! The conformance suite over SQLite, in a file of the store and in the database of a host.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{path::PathBuf, sync::Arc};

use keywright_core::{EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use keywright_store_sqlite::{SqliteConfig, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

/// A store in a temporary folder.
struct InFolder {
    folder: TempDir,
    config: SqliteConfig,
}

impl InFolder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            config: SqliteConfig::new(),
        }
    }

    /// Creates a file with the tables of a host, in another encoding.
    fn of_host() -> Self {
        let file = Self {
            config: SqliteConfig::in_existing_database(),
            ..Self::new()
        };
        Connection::open(file.path())
            .unwrap()
            .execute_batch(
                "PRAGMA encoding = 'UTF-16'; CREATE TABLE keys (id); CREATE TABLE events (id)",
            )
            .unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.db")
    }

    /// Changes the row with this id, and returns whether there is one.
    fn overwrite(&self, sql: &str, id: &[u8]) -> bool {
        let database = Connection::open(self.path()).unwrap();
        database.execute(sql, [id]).unwrap() == 1
    }
}

impl Harness for InFolder {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(SqliteStore::open_with(self.path(), self.config).unwrap())
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.overwrite(
            "UPDATE keywright_keys SET permissions = 'no, permissions' WHERE id = ?1",
            id.as_bytes(),
        )
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.overwrite(
            "UPDATE keywright_events SET event = 'no event' WHERE id = ?1",
            id.as_bytes(),
        )
    }
}

conformance_tests!(InFolder::new());

mod host {
    use super::*;

    conformance_tests!(InFolder::of_host());
}
