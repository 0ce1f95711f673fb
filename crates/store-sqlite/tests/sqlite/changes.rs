//! What those who keep copies are told, and until when they may use them.

use std::{
    fs,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{KeyStore, Reach, Record};
use keywright_store_sqlite::{OpenError, Sharing, SqliteStore};

use crate::{Folder, insert, insert_all, sample};

/// Waits for something that happens within milliseconds.
fn eventually(condition: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        condition()
    })
}

fn revoke(store: &SqliteStore, number: u32) {
    let record = sample::record(number);
    let revoked = block_on(store.revoke(
        &record.key.workspace,
        &record.key.id,
        Reach::Key,
        sample::now(),
    ));
    assert!(revoked.unwrap().first);
}

#[test]
fn a_copy_is_never_used_a_hundred_milliseconds_after_another_handle_has_revoked_the_key() {
    let folder = Folder::new();
    let (here, there) = (folder.store(), folder.store());
    let lease = here.lease();
    for number in 0..50 {
        insert(&here, &sample::record(number)).unwrap();
        let id = sample::id(number);
        let stamp = lease.stamp(&id);
        revoke(&there, number);
        let acknowledged: Instant = lease.now();
        // However late this thread is scheduled, what it sees is true at the time it is read before.
        loop {
            let before = lease.now();
            if !lease.holds(&id, stamp) {
                break;
            }
            assert!(
                before <= acknowledged + Duration::from_millis(100),
                "the lease is longer than it is said to be"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn an_exclusive_handle_vouched_for_ever_for_a_file_that_was_gone() {
    for replaced in [false, true] {
        let folder = Folder::new();
        let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
        let (lease, id) = (store.lease(), sample::id(1));
        assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
        fs::rename(folder.file(), folder.0.path().join("elsewhere")).unwrap();
        if replaced {
            fs::copy(folder.0.path().join("elsewhere"), folder.file()).unwrap();
        }
        assert!(eventually(|| !lease.holds(&id, lease.stamp(&id))));
    }
}

#[test]
fn nothing_is_vouched_for_once_the_file_is_gone() {
    let folder = Folder::new();
    let store = folder.store();
    let (lease, id) = (store.lease(), sample::id(1));
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    fs::rename(folder.file(), folder.0.path().join("elsewhere")).unwrap();
    assert!(eventually(|| !lease.holds(&id, lease.stamp(&id))));
    let stamp = lease.stamp(&id);
    fs::rename(folder.0.path().join("elsewhere"), folder.file()).unwrap();
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    assert!(
        !lease.holds(&id, stamp),
        "what was missed meanwhile was taken for nothing"
    );
}

#[test]
fn a_strict_handle_vouches_for_nothing() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.file(), Sharing::Strict).unwrap();
    let (lease, id) = (store.lease(), sample::id(1));
    assert!(!lease.holds(&id, lease.stamp(&id)));
}

#[test]
fn an_exclusive_handle_vouches_for_what_it_has_not_changed_and_shares_with_nobody() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    let (lease, id) = (store.lease(), sample::id(1));
    insert(&store, &sample::record(1)).unwrap();
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    let stamp = lease.stamp(&id);
    for sharing in [Sharing::Shared, Sharing::Strict, Sharing::Exclusive] {
        let refused = SqliteStore::open_with(folder.file(), sharing);
        assert!(matches!(refused, Err(OpenError::InUse { .. })));
    }
    revoke(&store, 1);
    assert!(!lease.holds(&id, stamp));
    drop(store);
    let shared = folder.store();
    let refused = SqliteStore::open_with(folder.file(), Sharing::Exclusive);
    assert!(matches!(refused, Err(OpenError::InUse { .. })));
    drop(shared);
}

#[test]
fn changes_that_share_a_transaction_are_all_told() {
    let folder = Folder::new();
    // What others change is not asked for here.
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    let records: Vec<_> = (0..50).map(sample::record).collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    let lease = store.lease();
    assert!(eventually(
        || lease.holds(&sample::id(0), lease.stamp(&sample::id(0)))
    ));
    let stamps: Vec<_> = records
        .iter()
        .map(|record| lease.stamp(&record.key.id))
        .collect();
    // While the first waits for its transaction, the others come.
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut revoking: Vec<_> = records
        .iter()
        .map(|Record { key, .. }| store.revoke(&key.workspace, &key.id, Reach::Key, sample::now()))
        .collect();
    for revoking in &mut revoking {
        let _ = revoking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }
    other.execute_batch("COMMIT").unwrap();
    for ((revoking, record), stamp) in revoking.into_iter().zip(&records).zip(stamps) {
        assert!(block_on(revoking).unwrap().first);
        assert!(!lease.holds(&record.key.id, stamp), "{:?}", record.key.id);
    }
}
