//! Writing: transactions that are shared, futures that are dropped, disks that are in the way.

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
    Key, KeyStore, Name, Purge, Reach, Rename, StoreError, StoreErrorKind, Timestamp,
};

use crate::{Folder, insert, insert_all, sample};

#[test]
fn of_inserts_that_share_a_transaction_each_gets_its_own_answer() {
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
    for (record, answer) in records.iter().zip(answers) {
        let found = block_on(store.find(&record.key.id)).unwrap();
        match (record.key.id, answer.map_err(|error| error.kind())) {
            (id, answer) if id == sample::id(17) => {
                assert_eq!(answer, Err(StoreErrorKind::AlreadyExists));
                assert_eq!(found.as_ref(), Some(&old));
            }
            (id, answer) if id == sample::id(33) => {
                assert_eq!(answer, Err(StoreErrorKind::Conflict));
                assert_eq!(found, None);
            }
            (_, answer) => {
                assert_eq!(answer, Ok(()));
                assert_eq!(found.as_ref(), Some(record));
            }
        }
    }
    folder.assert_sound();
}

#[test]
fn a_write_whose_future_was_dropped_is_done() {
    let folder = Folder::new();
    let store = folder.store();
    let records: Vec<_> = (0..100).map(sample::record).collect();
    for record in &records {
        let mut future = store.insert(record, sample::now());
        // The first poll submits it; nobody waits for the answer.
        let _ = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }
    drop(store);
    let store = folder.store();
    for record in records {
        assert_eq!(block_on(store.find(&record.key.id)).unwrap(), Some(record));
    }
}

type Task = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A task that is dropped where it is woken, as some executors do.
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
    let store = folder.store();
    let (sender, dropped) = mpsc::channel();
    let task = Arc::new(DropsTask {
        task: Mutex::new(None),
        dropped: Mutex::new(sender),
    });
    let waker = Waker::from(Arc::clone(&task));
    {
        // The task is the last to hold the store. It cannot be dropped before it is put in place.
        let mut place = task.task.lock().unwrap();
        let mut future: Task =
            Box::pin(async move { store.insert(&sample::record(1), sample::now()).await });
        assert!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        *place = Some(future);
    }
    dropped.recv_timeout(Duration::from_secs(10)).unwrap();
    let again = folder.store();
    assert!(block_on(again.find(&sample::id(1))).unwrap().is_some());
}

#[test]
fn a_lock_that_is_not_given_back_is_unavailable_and_no_more() {
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
fn what_was_overwritten_is_not_left_in_the_file() {
    let folder = Folder::new();
    let store = folder.store();
    let record = sample::named(1, "a name that nobody else has");
    insert(&store, &record).unwrap();
    let rename = Rename::new(Some(Name::parse("x").unwrap()), None);
    let key = &record.key;
    block_on(store.rename(&key.workspace, &key.id, record.version, &rename)).unwrap();
    drop(store);
    let bytes = fs::read(folder.file()).unwrap();
    let old = key.name.as_str().as_bytes();
    assert!(!bytes.windows(old.len()).any(|window| window == old));
}

#[test]
fn the_log_is_written_back_and_begun_anew() {
    const PAGE: u64 = 4096;
    let folder = Folder::new();
    let store = folder.store();
    for number in 0..2_000 {
        insert(&store, &sample::record(number)).unwrap();
    }
    let log = fs::metadata(folder.0.path().join("keys.db-wal")).unwrap();
    // From 1,000 pages on it is; that many commits write three pages each at the least.
    assert!(log.len() < 3_000 * PAGE, "{} bytes", log.len());
}

#[test]
fn a_file_after_many_kinds_of_writes_is_sound() {
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
                    let name = Name::parse(&"ä".repeat(200)).unwrap();
                    let rename = Rename::new(Some(name), None);
                    block_on(async {
                        store.rename(&key.workspace, &key.id, 1, &rename).await?;
                        store.touch(&[(key.id, sample::now())]).await?;
                        store.rehash(&key.id, 2, &record.credential).await
                    })
                    .unwrap();
                }
            });
        }
    });
    drop(store);
    folder.assert_sound();
}

#[test]
fn a_damaged_row_is_purged_like_any_other() {
    let folder = Folder::new();
    let store = folder.store();
    let record = sample::record(1);
    insert(&store, &record).unwrap();
    let Key { id, workspace, .. } = &record.key;
    block_on(store.revoke(workspace, id, Reach::Key, sample::now())).unwrap();
    folder
        .sqlite()
        .execute("UPDATE keys SET permissions = 'no, permissions'", ())
        .unwrap();
    let later = sample::now().saturating_add(Duration::from_secs(1));
    let purge = Purge::new(later, 10);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert!(block_on(store.is_empty()).unwrap());
    folder.assert_sound();
}

#[test]
fn a_child_with_an_older_id_than_its_parent_is_purged_first() {
    // The clock of another server went behind.
    let folder = Folder::new();
    let store = folder.store();
    let parent = sample::record(2);
    let mut child = sample::record(1);
    child.key.parent = Some(parent.key.id);
    for record in [&parent, &child] {
        insert(&store, record).unwrap();
    }
    let Key { id, workspace, .. } = &parent.key;
    block_on(store.revoke(workspace, id, Reach::Descendants, sample::now())).unwrap();
    let later = sample::now().saturating_add(Duration::from_secs(1));
    let purge = Purge::new(later, 10);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert!(block_on(store.find(id)).unwrap().is_some());
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 0);
}

#[test]
fn a_purge_that_another_program_overtakes_looks_for_more() {
    let folder = Folder::new();
    let store = folder.store();
    let key = sample::record(1).key;
    insert(&store, &sample::record(1)).unwrap();
    block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now())).unwrap();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let purge = Purge::new(Timestamp::MAX, 10);
        let purging = scope.spawn(move || block_on(store.purge(&purge)));
        // It has found the key by then, and waits until it may delete it.
        thread::sleep(Duration::from_millis(200));
        let another_key = "UPDATE keys SET id = ?1";
        let changed = other.execute(another_key, [sample::id(2).as_bytes()]);
        assert_eq!(changed, Ok(1));
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(purging.join().unwrap().unwrap(), 1);
    });
}
