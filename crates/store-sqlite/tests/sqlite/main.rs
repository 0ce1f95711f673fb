//! The behaviour of the store beyond the contract: its file, other users of the file, and failures.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod backup;
mod changes;
mod copies;
mod events;
mod host;
mod host_transaction;
mod opening;
mod permissions;
mod reading;
mod sample;
mod sharing;
mod sign_up_example;
mod writing;

use std::{
    error::Error,
    path::PathBuf,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{
    Environment, Event, EventOrder, ListEvents,
    store::{KeyStore, Record, StoreError},
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

/// How long a test waits for a state that a fast machine reaches within milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The environment variable with the path of the file, for a test in a separate process.
const FILE: &str = "KEYWRIGHT_TEST_FILE";

/// A temporary folder for the file of a store.
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

    /// Opens a connection of another program.
    fn sqlite(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    /// Sets the version of the schema, as another version of this crate does.
    fn set_version(&self, version: i64) {
        let set = "UPDATE keywright_settings SET value = ?1 WHERE name = 'schema_version'";
        let changed = self.sqlite().execute(set, [version.to_string()]).unwrap();
        assert_eq!(changed, 1);
    }

    fn assert_intact(&self) {
        let report: String = self
            .sqlite()
            .query_one("PRAGMA integrity_check", (), |row| row.get(0))
            .unwrap();
        assert_eq!(report, "ok");
    }
}

fn insert(store: &SqliteStore, record: &Record) -> Result<(), StoreError> {
    let event = sample::created(&record.key);
    block_on(store.insert(record, sample::now(), Some(&event)))
}

/// Returns all events of the workspace of the samples, from the oldest to the newest.
fn events(store: &SqliteStore) -> Vec<Event> {
    let list = ListEvents::new()
        .with_order(EventOrder::OldestFirst)
        .with_limit(u32::MAX);
    let page = block_on(store.events(&sample::workspace(), Environment::Live, &list)).unwrap();
    assert_eq!(page.next, None);
    page.events
}

/// Inserts from many threads, so that the inserts share transactions. The results are in the order
/// of the records.
fn insert_all(store: &SqliteStore, records: &[Record]) -> Vec<Result<(), StoreError>> {
    let share = records.len().div_ceil(64).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = records
            .chunks(share)
            .map(|share| {
                scope.spawn(|| {
                    let insert = |record| patiently(|| insert(store, record));
                    share.iter().map(insert).collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| -> Vec<_> { thread.join().unwrap() })
            .collect()
    })
}

/// Returns the text of an error and of all its sources.
fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        chain += &format!(": {error}");
        source = error.source();
    }
    chain
}

/// Repeats an operation that fails after it has waited for a lock for as long as the store waits.
/// On a slow machine, others may hold the lock for longer. An operation that fails sooner has
/// another reason, and is not repeated.
fn patiently<T, E>(operation: impl Fn() -> Result<T, E>) -> Result<T, E> {
    let patience = Patience::new();
    loop {
        let waiting = Patience::new();
        let result = operation();
        let waited_for_lock = waiting.elapsed() >= Duration::from_secs(4);
        if result.is_ok() || !waited_for_lock || patience.is_over() {
            return result;
        }
    }
}

/// Waits for a condition, and returns whether it was met.
fn eventually(condition: impl Fn() -> bool) -> bool {
    let patience = Patience::new();
    while !condition() {
        if patience.is_over() {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The time that a test has waited.
struct Patience(Instant);

impl Patience {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test gives up after some real time"
    )]
    fn new() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn is_over(&self) -> bool {
        self.elapsed() >= PATIENCE
    }
}

/// Polls a future once, which submits its operation.
fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
