//! Writing: shared transactions, dropped futures, locks, and what remains in the file.

use std::{
    fs,
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Environment, Key, ListKeys, Name, Reach, Timestamp, Workspace,
    store::{KeyStore, Purge, Settings, StoreError, StoreErrorKind},
};
use keywright_store_sqlite::{Sharing, SqliteStore};

use crate::{Folder, PATIENCE, events, insert, insert_all, poll_once, sample};

#[test]
fn inserts_that_share_a_transaction_each_get_their_own_result() {
    let folder = Folder::new();
    let store = folder.store();
    let old = sample::named(17, "was here first");
    insert(&store, &old).unwrap();
    let orphan = {
        let mut record = sample::record(33);
        record.key.parent = Some(sample::id(4711));
        record
    };
    let mut records: Vec<_> = (0..64).map(sample::record).collect();
    records[33] = orphan;
    let answers = insert_all(&store, &records);
    let mut expected_events = Vec::new();
    for (record, answer) in records.iter().zip(answers) {
        let found = block_on(store.find(&record.key.id)).unwrap();
        match (record.key.id, answer.map_err(|error| error.kind())) {
            (id, answer) if id == sample::id(17) => {
                assert_eq!(answer, Err(StoreErrorKind::AlreadyExists));
                assert_eq!(found.as_ref(), Some(&old));
                expected_events.push(sample::created(&old.key));
            }
            (id, answer) if id == sample::id(33) => {
                assert_eq!(answer, Err(StoreErrorKind::Conflict));
                assert_eq!(found, None);
            }
            (_, answer) => {
                assert_eq!(answer, Ok(()));
                assert_eq!(found.as_ref(), Some(record));
                expected_events.push(sample::created(&record.key));
            }
        }
    }
    assert_eq!(events(&store), expected_events);
    folder.assert_intact();
}

#[test]
fn a_write_whose_future_was_dropped_is_done() {
    let folder = Folder::new();
    let store = folder.store();
    let records: Vec<_> = (0..100).map(sample::record).collect();
    for record in &records {
        let event = sample::created(&record.key);
        let _ = poll_once(&mut store.insert(record, sample::now(), Some(&event)));
    }
    drop(store);
    let store = folder.store();
    let created = records.iter().map(|record| sample::created(&record.key));
    assert_eq!(events(&store), created.collect::<Vec<_>>());
    for record in records {
        assert_eq!(block_on(store.find(&record.key.id)).unwrap(), Some(record));
    }
}

type Task = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A task that is dropped on the thread that wakes it, as some executors do.
struct DropsTask {
    task: Mutex<Option<Task>>,
    dropped: Mutex<mpsc::Sender<()>>,
}

impl Wake for DropsTask {
    fn wake(self: Arc<Self>) {
        let task = self.task.lock().unwrap().take();
        drop(task);
        self.dropped.lock().unwrap().send(()).unwrap();
    }
}

#[test]
fn a_store_can_be_dropped_on_its_own_threads() {
    let folder = Folder::new();
    // If the writer answers before the first poll returns, the task ends here and is never woken.
    let number = (1..)
        .find(|number| is_dropped_by_writer(&folder, *number))
        .unwrap();
    let reopened = folder.store();
    let found = block_on(reopened.find(&sample::id(number))).unwrap();
    assert!(found.is_some());
}

/// Whether the writer thread wakes, and so drops, the task that inserts this record and is the last
/// owner of the store.
fn is_dropped_by_writer(folder: &Folder, number: u32) -> bool {
    let store = folder.store();
    let (sender, dropped) = mpsc::channel();
    let task = Arc::new(DropsTask {
        task: Mutex::new(None),
        dropped: Mutex::new(sender),
    });
    let waker = Waker::from(Arc::clone(&task));
    {
        // While this holds the lock, the writer cannot drop the task.
        let mut slot = task.task.lock().unwrap();
        let mut future: Task = Box::pin(async move {
            let record = sample::record(number);
            store.insert(&record, sample::now(), None).await
        });
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            return false;
        }
        *slot = Some(future);
    }
    dropped.recv_timeout(PATIENCE).unwrap();
    true
}

#[test]
fn writes_fail_while_another_program_holds_the_lock_and_succeed_afterwards() {
    let folder = Folder::new();
    let store = folder.store();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let records: Vec<_> = (0..8).map(sample::record).collect();
    thread::scope(|scope| {
        for record in &records {
            scope.spawn(|| {
                let error = insert(&store, record).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                assert_eq!(error.backend(), "sqlite");
                assert!(std::error::Error::source(&error).is_some());
            });
        }
    });
    other.execute_batch("ROLLBACK").unwrap();
    for record in &records {
        insert(&store, record).unwrap();
    }
}

#[test]
fn an_overwritten_name_does_not_remain_in_the_file() {
    let folder = Folder::new();
    let store = folder.store();
    let record = sample::named(1, "a name that occurs only once");
    insert(&store, &record).unwrap();
    let key = &record.key;
    let mut settings = Settings::from(key);
    settings.name = Name::parse("x").unwrap();
    block_on(store.update(&key.workspace, &key.id, record.version, &settings, None)).unwrap();
    drop(store);
    let bytes = fs::read(folder.file()).unwrap();
    let old = key.name.as_str().as_bytes();
    assert!(!bytes.windows(old.len()).any(|window| window == old));
}

#[test]
fn the_log_is_checkpointed_and_restarted() {
    const PAGE: u64 = 4096;
    let folder = Folder::new();
    // Without a poller no reader can delay a checkpoint.
    let store = SqliteStore::open_with(folder.file(), Sharing::Strict).unwrap();
    for number in 0..2_000 {
        insert(&store, &sample::record(number)).unwrap();
    }
    let log = fs::metadata(folder.0.path().join("keys.db-wal")).unwrap();
    // The log is checkpointed from 1,000 pages on. 2,000 commits of at least three pages each would
    // make a log of 6,000 pages.
    assert!(log.len() < 3_000 * PAGE, "{} bytes", log.len());
}

#[test]
fn the_file_is_intact_after_many_kinds_of_writes() {
    let folder = Folder::new();
    let store = folder.store();
    let records: Vec<_> = (0..500).map(sample::record).collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    thread::scope(|scope| {
        for chunk in records.chunks(50) {
            let store = &store;
            scope.spawn(move || {
                for record in chunk {
                    let key = &record.key;
                    let mut settings = Settings::from(key);
                    settings.name = Name::parse(&"ä".repeat(200)).unwrap();
                    settings.enabled = false;
                    block_on(async {
                        store
                            .update(&key.workspace, &key.id, 1, &settings, None)
                            .await?;
                        store.touch(&[(key.id, sample::now())]).await?;
                        store.rehash(&key.id, 2, &record.credential).await
                    })
                    .unwrap();
                }
            });
        }
    });
    drop(store);
    folder.assert_intact();
}

#[test]
fn a_damaged_row_is_purged_like_any_other() {
    let folder = Folder::new();
    let store = folder.store();
    let record = sample::record(1);
    insert(&store, &record).unwrap();
    let Key { id, workspace, .. } = &record.key;
    block_on(store.revoke(workspace, id, Reach::Key, sample::now(), None)).unwrap();
    folder
        .sqlite()
        .execute(
            "UPDATE keywright_keys SET permissions = 'no, permissions'",
            (),
        )
        .unwrap();
    let later = sample::now().saturating_add(Duration::from_secs(1));
    let purge = Purge::new(10).with_revoked_before(later);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert!(block_on(store.is_empty()).unwrap());
    folder.assert_intact();
}

#[test]
fn a_purge_deletes_the_keys_that_were_revoked_or_expired_before_its_times_and_no_others() {
    let time = |millis| Timestamp::from_millis(millis).unwrap();
    let times = [None, Some(time(4)), Some(time(5))];
    let workspaces = ["default", "other"].map(|name| Workspace::parse(name).unwrap());
    let mut records = Vec::new();
    for workspace in &workspaces {
        for revoked_at in times {
            for expires_at in times {
                let mut record = sample::record(u32::try_from(records.len()).unwrap());
                record.key.workspace = workspace.clone();
                record.key.revoked_at = revoked_at;
                record.key.expires_at = expires_at;
                records.push(record);
            }
        }
    }
    let mut purges = vec![Purge::new(100)];
    purges.push(Purge::new(100).with_revoked_before(time(5)));
    purges.push(Purge::new(100).with_expired_before(time(5)));
    purges.push(
        Purge::new(100)
            .with_revoked_before(time(5))
            .with_expired_before(time(6)),
    );
    purges.extend(
        purges
            .clone()
            .into_iter()
            .map(|purge| purge.with_workspace(workspaces[1].clone())),
    );
    for purge in purges {
        let folder = Folder::new();
        let store = folder.store();
        assert!(insert_all(&store, &records).iter().all(Result::is_ok));
        let covered = records.iter().filter(|record| purge.covers(&record.key));
        let count = u64::try_from(covered.count()).unwrap();
        assert_eq!(block_on(store.purge(&purge)).unwrap(), count, "{purge:?}");
        for record in &records {
            let found = block_on(store.find(&record.key.id)).unwrap();
            assert_eq!(found.is_none(), purge.covers(&record.key), "{purge:?}");
        }
        assert_eq!(block_on(store.purge(&purge)).unwrap(), 0, "{purge:?}");
    }
}

#[test]
fn a_child_with_an_older_id_than_its_parent_is_purged_first() {
    // The child was created by a server whose clock is behind.
    let folder = Folder::new();
    let store = folder.store();
    let parent = sample::record(2);
    let mut child = sample::record(1);
    child.key.parent = Some(parent.key.id);
    for record in [&parent, &child] {
        insert(&store, record).unwrap();
    }
    let Key { id, workspace, .. } = &parent.key;
    block_on(store.revoke(workspace, id, Reach::Descendants, sample::now(), None)).unwrap();
    let later = sample::now().saturating_add(Duration::from_secs(1));
    let purge = Purge::new(10).with_revoked_before(later);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert!(block_on(store.find(id)).unwrap().is_some());
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 0);
}

#[test]
fn a_purge_searches_again_if_another_program_was_faster() {
    let folder = Folder::new();
    let store = folder.store();
    let other = folder.sqlite();
    let purge = Purge::new(10).with_revoked_before(Timestamp::MAX);
    // If the purge is so fast that it finds and deletes the key at once, the next key is tried.
    let overtaken = (1..).step_by(2).any(|number| {
        let key = sample::record(number).key;
        insert(&store, &sample::record(number)).unwrap();
        block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now(), None)).unwrap();
        let mut purging = store.purge(&purge);
        if poll_once(&mut purging).is_ready() {
            return false;
        }
        // The thread that searches also lists, in the order of submission. So it has found the key.
        let list = ListKeys::new().with_limit(1);
        block_on(store.list(&key.workspace, Environment::Live, &list, sample::now())).unwrap();
        let replace = "UPDATE keywright_keys SET id = ?1 WHERE id = ?2";
        let next = sample::id(number + 1);
        let replaced = other
            .execute(replace, [next.as_bytes(), key.id.as_bytes()])
            .unwrap();
        let purged = block_on(purging).unwrap();
        assert_eq!(purged, 1);
        replaced == 1
    });
    assert!(overtaken);
    assert!(block_on(store.is_empty()).unwrap());
}

#[test]
fn lineage_in_a_circle_is_revoked_once_and_kept_by_a_purge() {
    let folder = Folder::new();
    let store = folder.store();
    // Each key has received the other's secret. Only damage can cause this.
    let [mut parent, mut child] = [1, 2].map(sample::record);
    parent.key.rotated_by = Some(child.key.id);
    child.key.parent = Some(parent.key.id);
    for record in [&parent, &child] {
        insert(&store, record).unwrap();
    }
    for (record, count) in [(&child, 2), (&parent, 0)] {
        let Key { workspace, id, .. } = &record.key;
        let revoked = store.revoke(workspace, id, Reach::Descendants, sample::now(), None);
        assert_eq!(block_on(revoked).unwrap().count, count);
    }
    let everything = Purge::new(100).with_revoked_before(Timestamp::MAX);
    assert_eq!(block_on(store.purge(&everything)).unwrap(), 0);
    for record in [&parent, &child] {
        assert!(block_on(store.find(&record.key.id)).unwrap().is_some());
    }
}
