//! What the contract does not say: the file, its other users, and what goes wrong with it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod backup;
mod changes;
mod opening;
mod reading;
mod sample;
mod sharing;
mod writing;

use std::{error::Error, path::PathBuf, thread};

use futures_executor::block_on;
use keywright_core::{KeyStore, Record, StoreError};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

/// A folder for the file of a store.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("keys.db")
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.file()).unwrap()
    }

    /// A connection behind the store's back.
    fn sqlite(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    fn assert_sound(&self) {
        let verdict: String = self
            .sqlite()
            .query_one("PRAGMA integrity_check", (), |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok");
    }
}

fn insert(store: &SqliteStore, record: &Record) -> Result<(), StoreError> {
    block_on(store.insert(record, sample::now()))
}

/// Inserts from many threads, so that the inserts share transactions.
fn insert_all(store: &SqliteStore, records: &[Record]) -> Vec<Result<(), StoreError>> {
    let share = records.len().div_ceil(64).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = records
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().map(|record| insert(store, record)).collect()))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| -> Vec<_> { thread.join().unwrap() })
            .collect()
    })
}

/// All that an error says, with what caused it.
fn story(error: &dyn Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story += &format!(": {error}");
        cause = error.source();
    }
    story
}
