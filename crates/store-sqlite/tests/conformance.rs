//! The conformance suite over SQLite.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{path::PathBuf, sync::Arc};

use keywright_core::{EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

/// A store in a temporary folder.
struct InFolder(TempDir);

impl InFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("keys.db")
    }

    /// Changes the row with this id, and returns whether there is one.
    fn overwrite(&self, sql: &str, id: &[u8]) -> bool {
        let database = Connection::open(self.path()).unwrap();
        database.execute(sql, [id]).unwrap() == 1
    }
}

impl Harness for InFolder {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(SqliteStore::open(self.path()).unwrap())
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
