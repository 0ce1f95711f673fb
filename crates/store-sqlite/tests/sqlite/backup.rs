//! Backups of a store that is in use.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use futures_executor::block_on;
use keywright_core::{Environment, KeyStore, ListKeys, Prefix, StoreErrorKind};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;

use crate::{Folder, insert, insert_all, sample, story};

#[test]
fn a_backup_is_a_store_with_the_same_keys() {
    let folder = Folder::new();
    let store = folder.store();
    let prefix = Prefix::parse("acme").unwrap();
    block_on(store.claim_prefix(&prefix)).unwrap();
    let records: Vec<_> = (0..300).map(sample::record).collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    let copy = folder.0.path().join("it's a copy?.db");
    block_on(store.backup(&copy)).unwrap();
    insert(&store, &sample::record(300)).unwrap();

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let sqlite = Connection::open(&copy).unwrap();
    for (pragma, value) in [("application_id", 0x4b57_5247), ("user_version", 2)] {
        let copied: i64 = sqlite.pragma_query_one(None, pragma).unwrap();
        assert_eq!(copied, value, "{pragma}");
    }
    drop(sqlite);

    let restored = SqliteStore::open(&copy).unwrap();
    for record in &records {
        let found = block_on(restored.find(&record.key.id)).unwrap();
        assert_eq!(found.as_ref(), Some(record));
    }
    assert_eq!(block_on(restored.find(&sample::id(300))).unwrap(), None);
    let other = Prefix::parse("other").unwrap();
    assert_eq!(block_on(restored.claim_prefix(&other)).unwrap(), prefix);
    insert(&restored, &sample::record(301)).unwrap();
}

#[test]
fn others_read_and_write_meanwhile() {
    let folder = Folder::new();
    let store = folder.store();
    let records: Vec<_> = (0..5000).map(sample::record).collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    let copy = folder.0.path().join("copy.db");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (5000..)
                .take_while(|_| !done.load(Ordering::Relaxed))
                .map(|number| insert(&store, &sample::record(number)).unwrap())
                .count()
        });
        block_on(store.backup(&copy)).unwrap();
        done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    let restored = SqliteStore::open(&copy).unwrap();
    let list = ListKeys::new().with_limit(1);
    let page = block_on(restored.list(
        &sample::workspace(),
        Environment::Live,
        &list,
        sample::now(),
    ))
    .unwrap();
    // What was written meanwhile is in it up to some key and no further.
    let newest = page.keys[0].id;
    assert_eq!(
        page.total
            .map(|total| sample::id(u32::try_from(total).unwrap() - 1)),
        Some(newest)
    );
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = Folder::new();
    let store = folder.store();
    let copy = folder.0.path().join("copy.db");
    fs::write(&copy, "").unwrap();
    for there in [copy, folder.file()] {
        let before = fs::read(&there).unwrap();
        let refused = block_on(store.backup(&there)).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
        assert!(story(&refused).contains("exists"), "{refused:?}");
        assert_eq!(fs::read(&there).unwrap(), before);
    }
}

#[cfg(unix)]
#[test]
fn a_backup_that_fails_leaves_no_file() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = Folder::new();
    let store = folder.store();
    let no_text = folder.0.path().join(OsStr::from_bytes(b"\xff.db"));
    let failed = block_on(store.backup(&no_text)).unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable);
    assert!(!no_text.exists());
}
