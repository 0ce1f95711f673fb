//! Opening: files that become a store, and files that are rejected.

use std::{fs, thread};

use futures_executor::block_on;
use keywright_core::store::{KeyStore, StoreErrorKind};
use keywright_store_sqlite::{OpenError, Sharing, SqliteStore};
use rusqlite::Connection;

use crate::{Folder, error_chain, eventually, insert, sample};

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = Folder::new();
    fs::write(folder.file(), []).unwrap();
    insert(&folder.store(), &sample::record(1)).unwrap();
    folder.assert_intact();
}

#[test]
fn the_file_has_a_log_and_strict_tables_and_its_header_is_free_for_a_host() {
    let folder = Folder::new();
    let _store = folder.store();
    let sqlite = folder.sqlite();
    let pragma = |name: &str| -> String {
        sqlite
            .query_one(
                &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
                (),
                |row| row.get(0),
            )
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("application_id"), "0");
    assert_eq!(pragma("user_version"), "0");
    let lax: i64 = sqlite
        .query_one(
            "SELECT count(*) FROM pragma_table_list
             WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND NOT strict",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(lax, 0);
    let unprefixed: i64 = sqlite
        .query_one(
            "SELECT count(*) FROM sqlite_schema
             WHERE name NOT GLOB 'keywright_*' AND name NOT GLOB 'sqlite_autoindex_keywright_*'",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(unprefixed, 0);
}

#[test]
fn a_record_is_found_after_reopening() {
    let folder = Folder::new();
    let record = sample::record(1);
    insert(&folder.store(), &record).unwrap();
    for name in ["keys.db-wal", "keys.db-shm"] {
        let remains = folder.0.path().join(name).exists();
        assert!(!remains, "closing the store did not checkpoint the log");
    }
    let reopened = folder.store();
    assert_eq!(
        block_on(reopened.find(&record.key.id)).unwrap(),
        Some(record)
    );
}

#[test]
fn a_path_that_looks_like_a_uri_is_a_file() {
    let folder = Folder::new();
    let odd = folder.0.path().join("file:odd?mode=memory#%41");
    insert(&SqliteStore::open(&odd).unwrap(), &sample::record(1)).unwrap();
    assert!(odd.is_file());
    // This path is relative to the working directory of the test, and its directory does not exist.
    let rejected = SqliteStore::open("file:no such directory/keys.db");
    assert!(matches!(rejected, Err(OpenError::Create { .. })));
}

#[test]
fn a_path_without_a_file_is_rejected() {
    for path in ["", ":memory:"] {
        assert!(matches!(SqliteStore::open(path), Err(OpenError::NoFile)));
    }
    let folder = Folder::new();
    let missing = SqliteStore::open(folder.0.path().join("missing/keys.db"));
    assert!(matches!(missing, Err(OpenError::Create { .. })));
    let directory = SqliteStore::open(folder.0.path());
    assert!(matches!(directory, Err(OpenError::Open { .. })));
}

#[test]
fn the_database_of_another_program_is_rejected_and_not_changed() {
    for set_up in [
        "CREATE TABLE notes (text)",
        "PRAGMA application_id = 7; PRAGMA user_version = 1",
        "PRAGMA user_version = 1; CREATE TABLE t (a); DROP TABLE t",
        "PRAGMA journal_mode = wal; CREATE TABLE keywright_keys (id BLOB PRIMARY KEY)",
        "CREATE TABLE keywright_settings (name TEXT, value TEXT)",
        "CREATE TABLE keywright_settings (version INTEGER)",
    ] {
        let folder = Folder::new();
        let other = folder.sqlite();
        other.execute_batch(set_up).unwrap();
        // While the other program has the file open, with a log that is not checkpointed…
        let before = fs::read(folder.file()).unwrap();
        let rejected = SqliteStore::open(folder.file());
        assert!(
            matches!(rejected, Err(OpenError::Foreign { .. })),
            "{set_up}"
        );
        assert_eq!(fs::read(folder.file()).unwrap(), before, "{set_up}");
        // …and after it has closed the file.
        drop(other);
        let before = fs::read(folder.file()).unwrap();
        let rejected = SqliteStore::open(folder.file());
        assert!(
            matches!(rejected, Err(OpenError::Foreign { .. })),
            "{set_up}"
        );
        assert_eq!(fs::read(folder.file()).unwrap(), before, "{set_up}");
        assert!(!folder.0.path().join("keys.db-lock").exists(), "{set_up}");
    }
}

#[test]
fn the_log_of_another_program_that_crashed_is_not_changed() {
    let live = Folder::new();
    let other = live.sqlite();
    other
        .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE notes (text)")
        .unwrap();
    let crashed = Folder::new();
    for name in ["keys.db", "keys.db-wal"] {
        fs::copy(live.0.path().join(name), crashed.0.path().join(name)).unwrap();
    }
    let rejected = SqliteStore::open(crashed.file());
    assert!(matches!(rejected, Err(OpenError::Foreign { .. })));
    for name in ["keys.db", "keys.db-wal"] {
        assert_eq!(
            fs::read(live.0.path().join(name)).unwrap(),
            fs::read(crashed.0.path().join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_and_not_changed() {
    for garbage in [
        "hello".repeat(1000),
        "xy".into(),
        "SQLite format 3\0 or so".repeat(100),
    ] {
        let folder = Folder::new();
        fs::write(folder.file(), &garbage).unwrap();
        let rejected = SqliteStore::open(folder.file());
        assert!(
            matches!(rejected, Err(OpenError::NotADatabase { .. })),
            "{rejected:?}"
        );
        assert_eq!(fs::read(folder.file()).unwrap(), garbage.as_bytes());
    }
}

#[test]
fn a_newer_schema_is_rejected_and_not_changed() {
    let folder = Folder::new();
    drop(folder.store());
    folder.set_version(2);
    let lock = folder.0.path().join("keys.db-lock");
    fs::remove_file(&lock).unwrap();
    let before = fs::read(folder.file()).unwrap();
    let rejected = SqliteStore::open(folder.file()).unwrap_err();
    assert!(matches!(
        rejected,
        OpenError::NewerSchema {
            found: 2,
            supported: 1,
            ..
        }
    ));
    assert!(rejected.to_string().contains("version 2"), "{rejected}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
    assert!(!lock.exists());
}

#[test]
fn nothing_is_written_after_a_newer_program_has_migrated_the_file() {
    let folder = Folder::new();
    let store = folder.store();
    insert(&store, &sample::record(1)).unwrap();
    folder.set_version(2);
    let rejected = insert(&store, &sample::record(2)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    assert!(
        error_chain(&rejected).contains("newer program"),
        "{rejected:?}"
    );
    assert!(block_on(store.find(&sample::id(1))).unwrap().is_some());
    assert!(block_on(store.find(&sample::id(2))).unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn a_read_only_file_is_rejected() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    drop(folder.store());
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new()
        .write(true)
        .open(folder.file())
        .is_ok()
    {
        return; // The superuser can write to any file.
    }
    let rejected = SqliteStore::open(folder.file());
    assert!(matches!(rejected, Err(OpenError::NotWritable { .. })));
}

#[test]
fn a_file_that_stays_locked_is_busy() {
    let folder = Folder::new();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let busy = SqliteStore::open(folder.file());
    assert!(matches!(busy, Err(OpenError::Busy { .. })), "{busy:?}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(folder.store());
}

#[test]
fn a_new_file_that_another_program_reads_is_opened_once_the_read_ends() {
    let folder = Folder::new();
    let other = folder.sqlite();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
        .unwrap();
    thread::scope(|scope| {
        let opening = scope.spawn(|| SqliteStore::open(folder.file()));
        // Opening acquires its lock just before it switches the file to a write-ahead log, for
        // which it waits for the reader.
        assert!(eventually(|| folder.0.path().join("keys.db-lock").exists()));
        assert!(!opening.is_finished());
        other.execute_batch("COMMIT").unwrap();
        opening.join().unwrap().unwrap();
    });
}

#[test]
fn an_open_error_is_one_line_that_begins_with_the_path() {
    let folder = Folder::new();
    fs::write(folder.file(), "no database at all").unwrap();
    let error = SqliteStore::open(folder.file()).unwrap_err();
    let text = error.to_string();
    let resolved = folder.file().canonicalize().unwrap();
    assert!(text.starts_with(&*resolved.to_string_lossy()));
    assert!(!text.contains('\n'));
    assert!(
        error_chain(&error).len() > text.len(),
        "the error has no source"
    );
}

#[cfg(unix)]
#[test]
fn a_path_through_a_symbolic_link_had_a_separate_lock() {
    let folder = Folder::new();
    let link = folder.0.path().join("link.db");
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = elsewhere.path().join("linked");
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    std::os::unix::fs::symlink(folder.0.path(), &directory).unwrap();
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    for path in [&link, &directory.join("keys.db")] {
        let rejected = SqliteStore::open(path);
        assert!(matches!(rejected, Err(OpenError::InUse { .. })), "{path:?}");
    }
    drop(store);
    let store = SqliteStore::open_with(&link, Sharing::Exclusive).unwrap();
    let rejected = SqliteStore::open(folder.file());
    assert!(matches!(rejected, Err(OpenError::InUse { .. })));
    insert(&store, &sample::record(1)).unwrap();
    assert!(!folder.0.path().join("link.db-lock").exists());
}

#[test]
fn a_program_that_was_rejected_had_already_migrated_the_file() {
    let folder = Folder::new();
    fs::write(folder.file(), []).unwrap();
    let lock = fs::File::create(folder.0.path().join("keys.db-lock")).unwrap();
    lock.lock().unwrap();
    let rejected = SqliteStore::open(folder.file());
    assert!(matches!(rejected, Err(OpenError::InUse { .. })));
    assert!(fs::read(folder.file()).unwrap().is_empty());
    lock.unlock().unwrap();
    drop(folder.store());
}

#[cfg(unix)]
#[test]
fn a_hard_link_had_a_separate_lock_and_log() {
    let folder = Folder::new();
    let link = folder.0.path().join("link.db");
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    fs::hard_link(folder.file(), &link).unwrap();
    for path in [&link, &folder.file()] {
        let rejected = SqliteStore::open(path).unwrap_err();
        assert!(matches!(rejected, OpenError::HardLinked { .. }));
        assert!(rejected.to_string().contains("hard link"), "{rejected}");
    }
    assert!(!folder.0.path().join("link.db-lock").exists());
    insert(&store, &sample::record(1)).unwrap();
    fs::remove_file(&link).unwrap();
    drop(store);
    drop(folder.store());
}
