//! Copies of the file that were made by hand, without its log.

use std::fs;

use futures_executor::block_on;
use keywright_core::store::KeyStore;
use keywright_store_sqlite::{OpenError, SqliteStore};

use crate::{Folder, eventually, insert, sample};

impl Folder {
    /// Copies only the file, as an operator does who does not know about the log.
    fn copy_without_log(&self) -> Self {
        let copy = Self::new();
        fs::copy(self.file(), copy.file()).unwrap();
        copy
    }

    fn has(&self, number: u32) -> bool {
        let id = sample::id(number);
        // A copy during a checkpoint may be damaged.
        SqliteStore::open(self.file())
            .is_ok_and(|store| matches!(block_on(store.find(&id)), Ok(Some(_))))
    }
}

#[test]
fn bug_a_copy_without_its_log_became_a_new_store() {
    let original = Folder::new();
    let other = original.sqlite();
    other
        .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE keywright_keys (id)")
        .unwrap();
    let copy = original.copy_without_log();
    let before = fs::read(copy.file()).unwrap();
    // The first attempt leaves an empty log.
    for _ in 0..2 {
        let rejected = SqliteStore::open(copy.file()).unwrap_err();
        assert!(matches!(rejected, OpenError::WithoutLog { .. }));
        let text = rejected.to_string();
        assert!(text.contains("without its -wal file"), "{text}");
        assert_eq!(fs::read(copy.file()).unwrap(), before);
    }
    assert!(!copy.0.path().join("keys.db-lock").exists());
}

#[test]
fn bug_the_schema_of_a_new_store_was_only_in_the_log() {
    let folder = Folder::new();
    let _store = folder.store();
    let copy = folder.copy_without_log();
    let tables: u32 = copy
        .sqlite()
        .query_one(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'keywright_keys'",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_copy_of_the_file_alone_is_complete_after_a_pause_in_writing() {
    let folder = Folder::new();
    let store = folder.store();
    for number in 0..200 {
        insert(&store, &sample::record(number)).unwrap();
    }
    let is_complete = || folder.copy_without_log().has(199);
    assert!(eventually(is_complete));
    // A reader keeps the next write in the log until it ends.
    let reader = folder.sqlite();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM keywright_keys")
        .unwrap();
    insert(&store, &sample::record(200)).unwrap();
    assert!(!folder.copy_without_log().has(200));
    reader.execute_batch("COMMIT").unwrap();
    assert!(eventually(|| folder.copy_without_log().has(200)));
}

#[test]
fn a_copy_of_the_file_alone_is_complete_after_the_store_is_closed() {
    let folder = Folder::new();
    let store = folder.store();
    // Another program keeps the file open, so that SQLite does not checkpoint.
    let other = folder.sqlite();
    let _: u32 = other
        .query_one("SELECT count(*) FROM keywright_keys", (), |row| row.get(0))
        .unwrap();
    insert(&store, &sample::record(1)).unwrap();
    insert(&store, &sample::record(2)).unwrap();
    drop(store);
    assert!(folder.0.path().join("keys.db-wal").exists());
    assert!(folder.copy_without_log().has(2));
}

#[test]
fn the_log_of_a_program_that_crashed_is_checkpointed() {
    let live = Folder::new();
    let store = live.store();
    insert(&store, &sample::record(1)).unwrap();
    insert(&store, &sample::record(2)).unwrap();
    let crashed = live.copy_without_log();
    let [from, to] = [&live, &crashed].map(|folder| folder.0.path().join("keys.db-wal"));
    fs::copy(from, to).unwrap();
    let _recovered = crashed.store();
    assert!(eventually(|| crashed.copy_without_log().has(2)));
}
