//! Several handles, threads and processes with one file.

use std::{
    env,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use futures_executor::block_on;
use keywright_core::{
    Prefix, Reach,
    store::{KeyStore, StoreErrorKind},
};
use keywright_store_sqlite::SqliteStore;

use crate::{FILE, Folder, error_chain, insert, insert_all, patiently, sample};

const NUMBER: &str = "KEYWRIGHT_TEST_NUMBER";

fn open_and_insert(file: impl AsRef<Path>, number: u32) {
    let store = patiently(|| SqliteStore::open(&file)).unwrap();
    let prefix = Prefix::parse("acme").unwrap();
    let claimed = patiently(|| block_on(store.claim_prefix(&prefix)));
    assert_eq!(claimed.unwrap(), prefix);
    patiently(|| insert(&store, &sample::record(number))).unwrap();
}

#[test]
#[ignore = "run by other tests in a separate process"]
fn another_process() {
    if let (Ok(file), Ok(number)) = (env::var(FILE), env::var(NUMBER)) {
        open_and_insert(file, number.parse().unwrap());
    }
}

#[test]
fn threads_and_processes_open_a_new_file_at_the_same_time() {
    for _ in 0..3 {
        let folder = Folder::new();
        let processes: Vec<_> = (0..4)
            .map(|number: u32| {
                Command::new(env::current_exe().unwrap())
                    .args(["--exact", "sharing::another_process", "--ignored"])
                    .env(FILE, folder.file())
                    .env(NUMBER, number.to_string())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let file = &folder.file();
        thread::scope(|scope| {
            for number in 4..8 {
                scope.spawn(move || open_and_insert(file, number));
            }
        });
        for mut process in processes {
            assert!(process.wait().unwrap().success());
        }
        let store = folder.store();
        for number in 0..8 {
            assert!(block_on(store.find(&sample::id(number))).unwrap().is_some());
        }
        folder.assert_intact();
    }
}

#[test]
fn a_revocation_through_one_handle_is_seen_through_all_handles() {
    let folder = Folder::new();
    let handles = [folder.store(), folder.store(), folder.store()];
    for (number, handle) in (0..30).zip(handles.iter().cycle()) {
        let key = sample::record(number).key;
        insert(handle, &sample::record(number)).unwrap();
        block_on(handle.revoke(&key.workspace, &key.id, Reach::Key, sample::now(), None)).unwrap();
        for handle in &handles {
            let found = block_on(handle.find(&key.id)).unwrap().unwrap();
            assert_eq!(found.key.revoked_at, Some(sample::now()));
        }
    }
}

#[test]
fn a_find_in_a_batch_sees_all_revocations_from_before_it() {
    let folder = Folder::new();
    let store = folder.store();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    block_on(store.find(&sample::id(0))).unwrap();
                }
            });
        }
        for number in 0..200 {
            let key = sample::record(number).key;
            insert(&store, &sample::record(number)).unwrap();
            block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now(), None))
                .unwrap();
            let found = block_on(store.find(&key.id)).unwrap().unwrap();
            if found.key.revoked_at.is_none() {
                done.store(true, Ordering::Relaxed);
                panic!("key {number} was found active after its revocation");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn several_handles_write_at_the_same_time() {
    let folder = Folder::new();
    let handles = [folder.store(), folder.store(), folder.store()];
    thread::scope(|scope| {
        for (handle, first) in handles.iter().zip([0, 1000, 2000]) {
            scope.spawn(move || {
                let records: Vec<_> = (first..first + 200).map(sample::record).collect();
                assert!(insert_all(handle, &records).iter().all(Result::is_ok));
            });
        }
    });
    let count: u32 = folder
        .sqlite()
        .query_one("SELECT count(*) FROM keywright_keys", (), |row| row.get(0))
        .unwrap();
    assert_eq!(count, 600);
    folder.assert_intact();
}

#[test]
fn readers_do_not_wait_for_a_writer_and_a_writer_waits_for_its_turn() {
    let folder = Folder::new();
    let store = folder.store();
    insert(&store, &sample::record(1)).unwrap();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| insert(&store, &sample::record(2)));
        for _ in 0..100 {
            assert!(block_on(store.find(&sample::id(1))).unwrap().is_some());
            assert!(block_on(store.find(&sample::id(2))).unwrap().is_none());
        }
        other.execute_batch("COMMIT").unwrap();
        writer.join().unwrap().unwrap();
    });
    assert!(block_on(store.find(&sample::id(2))).unwrap().is_some());
}

#[test]
fn a_removed_or_replaced_file_is_neither_written_nor_read() {
    for replaced in [false, true] {
        let folder = Folder::new();
        let store = SqliteStore::open(folder.file()).unwrap();
        insert(&store, &sample::record(1)).unwrap();
        let old = folder.file().with_extension("old");
        std::fs::rename(folder.file(), &old).unwrap();
        if replaced {
            std::fs::copy(&old, folder.file()).unwrap();
        }
        let unavailable = Some(StoreErrorKind::Unavailable);
        let rejected = insert(&store, &sample::record(2)).err();
        assert_eq!(rejected.map(|error| error.kind()), unavailable);
        let unread = block_on(store.find(&sample::id(1))).err();
        assert_eq!(unread.map(|error| error.kind()), unavailable);
        let not_ready = block_on(store.is_empty()).err();
        assert_eq!(not_ready.map(|error| error.kind()), unavailable);
    }
}

#[test]
#[cfg(unix)]
fn a_removed_log_took_acknowledged_revocations_with_it() {
    for name in ["keys.db-wal", "keys.db-shm"] {
        for replaced in [false, true] {
            let folder = Folder::new();
            let store = folder.store();
            let key = sample::record(1).key;
            insert(&store, &sample::record(1)).unwrap();
            let file = folder.0.path().join(name);
            std::fs::rename(&file, folder.0.path().join("old")).unwrap();
            if replaced {
                std::fs::copy(folder.0.path().join("old"), &file).unwrap();
            }
            let revoked = store.revoke(&key.workspace, &key.id, Reach::Key, sample::now(), None);
            let rejected = block_on(revoked).unwrap_err();
            assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
            assert!(error_chain(&rejected).contains("its log"), "{rejected:?}");
            assert!(block_on(store.find(&key.id)).is_err());
            let copy = folder.0.path().join("copy.db");
            assert!(block_on(store.backup(&copy)).is_err());
            assert!(!copy.exists());
        }
    }
}

#[test]
fn the_log_keeps_its_identity_while_others_truncate_and_close_it() {
    let folder = Folder::new();
    let store = folder.store();
    for number in 0..4 {
        insert(&store, &sample::record(number)).unwrap();
        let other = folder.sqlite();
        other
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM")
            .unwrap();
        assert!(other.execute_batch("PRAGMA journal_mode = DELETE").is_err());
        drop(other);
        let copy = folder.0.path().join(format!("copy{number}.db"));
        block_on(store.backup(&copy)).unwrap();
        drop(folder.store());
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sharing::another_process", "--ignored"])
            .env(FILE, folder.file())
            .env(NUMBER, (100 + number).to_string())
            .status()
            .unwrap();
        assert!(process.success());
        for number in [number, 100 + number] {
            assert!(block_on(store.find(&sample::id(number))).unwrap().is_some());
        }
    }
}
