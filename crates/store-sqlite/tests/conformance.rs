//! The conformance suite over SQLite.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{path::PathBuf, sync::Arc};

use keywright_core::{
    EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore,
};
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
}

impl Harness for InFolder {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(SqliteStore::open(self.path()).unwrap())
    }

    fn damage(&self, id: &KeyId) -> bool {
        Connection::open(self.path())
            .unwrap()
            .execute(
                "UPDATE keys SET permissions = 'no, permissions' WHERE id = ?1",
                [id.as_bytes()],
            )
            .unwrap()
            == 1
    }

    fn damage_event(&self, id: &EventId) -> bool {
        Connection::open(self.path())
            .unwrap()
            .execute(
                "UPDATE events SET event = substr(event, 1, 50) WHERE id = ?1",
                [id.as_bytes()],
            )
            .unwrap()
            == 1
    }
}

conformance_tests!(InFolder::new());
