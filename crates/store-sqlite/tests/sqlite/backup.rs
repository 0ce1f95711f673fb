//! Backups of a store that is in use.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use futures_executor::block_on;
use keywright_core::{
    Environment, ListKeys, Prefix,
    store::{KeyStore, StoreErrorKind},
};
use keywright_store_sqlite::SqliteStore;

use crate::{Folder, Patience, error_chain, events, insert, insert_all, sample};

#[test]
fn a_backup_is_a_store_with_the_same_keys_and_events() {
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
    let restored = SqliteStore::open(&copy).unwrap();
    for record in &records {
        let found = block_on(restored.find(&record.key.id)).unwrap();
        assert_eq!(found.as_ref(), Some(record));
    }
    assert_eq!(block_on(restored.find(&sample::id(300))).unwrap(), None);
    let created = records.iter().map(|record| sample::created(&record.key));
    assert_eq!(events(&restored), created.collect::<Vec<_>>());
    let other = Prefix::parse("other").unwrap();
    assert_eq!(block_on(restored.claim_prefix(&other)).unwrap(), prefix);
    insert(&restored, &sample::record(301)).unwrap();
}

#[test]
fn other_callers_write_during_a_backup() {
    let folder = Folder::new();
    let store = folder.store();
    let records: Vec<_> = (0..5000).map(sample::record).collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    let (count, done) = (AtomicU32::new(5000), AtomicBool::new(false));
    let copy = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                insert(&store, &sample::record(number)).unwrap();
                count.store(number + 1, Ordering::Relaxed);
            }
        });
        // A backup may finish before the other thread writes. Then it is repeated.
        let patience = Patience::new();
        let during = (0..)
            .map(|attempt| {
                let copy = folder.0.path().join(format!("copy{attempt}.db"));
                let before = count.load(Ordering::Relaxed);
                block_on(store.backup(&copy)).unwrap();
                (copy, count.load(Ordering::Relaxed) > before)
            })
            .take_while(|_| !patience.is_over())
            .find(|(_, written)| *written);
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        during.expect("no write happened during a backup").0
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
    // The backup contains the concurrent writes up to one of them, without a gap.
    let newest = page.keys[0].id;
    assert_eq!(
        page.total
            .map(|total| sample::id(u32::try_from(total).unwrap() - 1)),
        Some(newest)
    );
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let folder = Folder::new();
    let store = folder.store();
    let copy = folder.0.path().join("copy.db");
    fs::write(&copy, "").unwrap();
    for existing in [copy, folder.file()] {
        let before = fs::read(&existing).unwrap();
        let rejected = block_on(store.backup(&existing)).unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
        assert!(error_chain(&rejected).contains("exists"), "{rejected:?}");
        assert_eq!(fs::read(&existing).unwrap(), before);
    }
}

#[cfg(unix)]
#[test]
fn a_backup_that_fails_leaves_no_file() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = Folder::new();
    let store = folder.store();
    let not_utf8 = folder.0.path().join(OsStr::from_bytes(b"\xff.db"));
    let failed = block_on(store.backup(&not_utf8)).unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable);
    assert!(!not_utf8.exists());
}
