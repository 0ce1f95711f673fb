//! Invalidation of cached copies, and the lease under which they may be used.

use std::{
    env, fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{
    Reach, Timestamp,
    store::{KeyStore, Lease, Record, Settings, Stamp},
};
use keywright_store_sqlite::{OpenError, Sharing, SqliteStore};

use crate::{FILE, Folder, eventually, insert, insert_all, patiently, poll_once, sample};

fn revoke(store: &SqliteStore, number: u32) {
    let record = sample::record(number);
    let revoked = block_on(store.revoke(
        &record.key.workspace,
        &record.key.id,
        Reach::Key,
        sample::now(),
        None,
    ));
    assert!(revoked.unwrap().first);
}

type Restriction = fn(&mut Settings);

/// Updates, each of which makes a verifier reject what it accepted before.
const RESTRICTIONS: [(&str, Restriction); 4] = [
    ("a pause", |settings| settings.enabled = false),
    ("narrowed permissions", |settings| {
        settings.permissions = "calls:read".parse().unwrap();
    }),
    ("a shortened expiry", |settings| {
        settings.expires_at = Some(sample::now());
    }),
    ("changed addresses", |settings| {
        settings.allowed_ips = Some("192.0.2.7".parse().unwrap());
    }),
];

/// Returns a key that each of the [`RESTRICTIONS`] changes.
fn unrestricted(number: u32) -> Record {
    let mut record = sample::record(number);
    record.key.expires_at = Some(Timestamp::MAX);
    record.key.allowed_ips = Some("192.0.2.0/24".parse().unwrap());
    record
}

fn restrict(store: &SqliteStore, record: &Record, restriction: Restriction) {
    let mut settings = Settings::from(&record.key);
    restriction(&mut settings);
    let Record { key, version, .. } = record;
    patiently(|| block_on(store.update(&key.workspace, &key.id, *version, &settings, None)))
        .unwrap();
}

/// Waits until the lease holds, and returns the stamp of a copy.
fn stamp(lease: &Lease, number: u32) -> Stamp {
    let id = sample::id(number);
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    lease.stamp(&id)
}

/// Waits until a copy from this stamp is no longer used, which must be within 100 ms.
fn assert_expires(lease: &Lease, number: u32, stamp: Stamp, acknowledged: Instant) {
    let id = sample::id(number);
    // The time is read before the lease. However late this thread is scheduled in between, the
    // lease held at that time.
    loop {
        let before = lease.now();
        if !lease.holds(&id, stamp) {
            break;
        }
        assert!(
            before <= acknowledged + Duration::from_millis(100),
            "the lease is longer than documented"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_cached_copy_is_used_for_at_most_100_ms_after_another_handle_revoked_the_key() {
    let folder = Folder::new();
    let (here, there) = (folder.store(), folder.store());
    let lease = here.lease();
    for number in 0..50 {
        insert(&here, &sample::record(number)).unwrap();
        let stamp = stamp(&lease, number);
        revoke(&there, number);
        assert_expires(&lease, number, stamp, lease.now());
    }
}

#[test]
fn a_cached_copy_is_used_for_at_most_100_ms_after_another_handle_restricted_the_key() {
    let folder = Folder::new();
    let (here, there) = (folder.store(), folder.store());
    let lease = here.lease();
    for (number, (name, restriction)) in (0..40).zip(RESTRICTIONS.into_iter().cycle()) {
        let record = unrestricted(number);
        insert(&here, &record).unwrap();
        let stamp = stamp(&lease, number);
        restrict(&there, &record, restriction);
        assert_expires(&lease, number, stamp, lease.now());
        let found = block_on(here.find(&record.key.id)).unwrap().unwrap();
        let mut expected = Settings::from(&record.key);
        restriction(&mut expected);
        assert_eq!(Settings::from(&found.key), expected, "{name}");
        assert_ne!(expected, Settings::from(&record.key), "{name}");
    }
}

#[test]
#[ignore = "run by another test in a separate process"]
fn another_process() {
    if let Ok(file) = env::var(FILE) {
        let store = patiently(|| SqliteStore::open(&file)).unwrap();
        for (number, (_, restriction)) in (0..).zip(RESTRICTIONS) {
            restrict(&store, &unrestricted(number), restriction);
        }
    }
}

#[test]
fn a_cached_copy_is_used_for_at_most_100_ms_after_another_process_restricted_the_key() {
    let folder = Folder::new();
    let store = folder.store();
    let lease = store.lease();
    for (number, _) in (0..).zip(RESTRICTIONS) {
        insert(&store, &unrestricted(number)).unwrap();
    }
    let stamps = [0, 1, 2, 3].map(|number| stamp(&lease, number));
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "changes::another_process", "--ignored"])
        .env(FILE, folder.file())
        .status()
        .unwrap();
    // Every update was acknowledged before the process ended.
    let acknowledged = lease.now();
    assert!(status.success());
    for ((number, stamp), (name, restriction)) in (0..).zip(stamps).zip(RESTRICTIONS) {
        assert_expires(&lease, number, stamp, acknowledged);
        let found = block_on(store.find(&sample::id(number))).unwrap().unwrap();
        let mut expected = Settings::from(&unrestricted(number).key);
        restriction(&mut expected);
        assert_eq!(Settings::from(&found.key), expected, "{name}");
    }
}

#[test]
fn the_writer_invalidates_cached_copies_before_it_acknowledges_an_update() {
    let folder = Folder::new();
    // No other handle changes the file, so only the writer's own notifications count.
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    let lease = store.lease();
    for (number, (name, restriction)) in (0..).zip(RESTRICTIONS) {
        let record = unrestricted(number);
        insert(&store, &record).unwrap();
        let stamp = stamp(&lease, number);
        restrict(&store, &record, restriction);
        assert!(!lease.holds(&record.key.id, stamp), "{name}");
    }
}

#[test]
fn an_exclusive_handle_kept_its_lease_after_its_file_was_lost() {
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
fn the_lease_ends_when_the_file_is_lost_and_earlier_copies_stay_invalid() {
    let folder = Folder::new();
    let store = folder.store();
    let (lease, id) = (store.lease(), sample::id(1));
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    // On a busy machine, a lease also lapses because a poll is late. Then the file may be back
    // before a poll has missed it. If so, try again.
    assert!(
        eventually(|| {
            fs::rename(folder.file(), folder.0.path().join("elsewhere")).unwrap();
            assert!(eventually(|| !lease.holds(&id, lease.stamp(&id))));
            let stamp = lease.stamp(&id);
            fs::rename(folder.0.path().join("elsewhere"), folder.file()).unwrap();
            assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
            !lease.holds(&id, stamp)
        }),
        "changes may have been missed while the file was lost"
    );
}

#[test]
fn a_strict_handle_has_no_lease() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.file(), Sharing::Strict).unwrap();
    let (lease, id) = (store.lease(), sample::id(1));
    assert!(!lease.holds(&id, lease.stamp(&id)));
}

#[test]
fn an_exclusive_handle_has_a_lease_and_allows_no_other_handle() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.file(), Sharing::Exclusive).unwrap();
    let (lease, id) = (store.lease(), sample::id(1));
    insert(&store, &sample::record(1)).unwrap();
    assert!(eventually(|| lease.holds(&id, lease.stamp(&id))));
    let stamp = lease.stamp(&id);
    for sharing in [Sharing::Shared, Sharing::Strict, Sharing::Exclusive] {
        let rejected = SqliteStore::open_with(folder.file(), sharing);
        assert!(matches!(rejected, Err(OpenError::InUse { .. })));
    }
    revoke(&store, 1);
    assert!(!lease.holds(&id, stamp));
    drop(store);
    let shared = folder.store();
    let rejected = SqliteStore::open_with(folder.file(), Sharing::Exclusive);
    assert!(matches!(rejected, Err(OpenError::InUse { .. })));
    drop(shared);
}

#[test]
fn all_changes_that_share_a_transaction_are_notified() {
    let folder = Folder::new();
    // No other handle changes the file, so only the writer's own notifications count.
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
    // While the first revocation waits for the lock, the others are submitted.
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut revoking: Vec<_> = records
        .iter()
        .map(|Record { key, .. }| {
            store.revoke(&key.workspace, &key.id, Reach::Key, sample::now(), None)
        })
        .collect();
    for revoking in &mut revoking {
        assert!(poll_once(revoking).is_pending());
    }
    other.execute_batch("COMMIT").unwrap();
    for ((revoking, record), stamp) in revoking.into_iter().zip(&records).zip(stamps) {
        assert!(block_on(revoking).unwrap().first);
        assert!(!lease.holds(&record.key.id, stamp), "{:?}", record.key.id);
    }
}
