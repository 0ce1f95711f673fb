//! Runs the store on a disk that is full, read-only or failing. It acknowledges no write that was
//! not done, keeps serving reads, and recovers when the disk does.

use std::{sync::Arc, thread, time::Duration};

use keywright_core::store::{KeyStore, StoreErrorKind};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;

use crate::{
    client::{Client, Mint},
    cuts::check,
    disk::{Failure, Image, Part, Step},
    machine::Machine,
};

const CLIENTS: usize = 4;

/// The number of writes of each client in each phase of a test.
const WRITES: usize = 25;

struct Scenario {
    mint: Mint,
    machine: Machine,
    clients: Vec<Client>,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        let seed_of = |number| seed + number as u64;
        Self {
            mint: Mint::new(),
            machine: Machine::boot(seed, &Image::new()),
            clients: (0..CLIENTS)
                .map(|number| Client::new(seed_of(number), number))
                .collect(),
        }
    }

    /// Writes with all clients concurrently, each until its first failure. Returns the kinds of the
    /// failures.
    fn write(&mut self, store: &SqliteStore) -> Vec<StoreErrorKind> {
        let Self { mint, clients, .. } = self;
        thread::scope(|scope| {
            let writers: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    scope.spawn(|| (0..WRITES).find_map(|_| client.write(mint, store).err()))
                })
                .collect();
            let failures = writers.into_iter().map(|writer| writer.join().unwrap());
            failures.flatten().map(|error| error.kind()).collect()
        })
    }

    /// Checks that the store contains what the clients expect.
    fn reconcile(&mut self, store: &dyn KeyStore) {
        for client in &mut self.clients {
            if let Err(loss) = client.reconcile(store) {
                panic!("{loss}");
            }
        }
    }

    /// Cuts the power, and checks that every acknowledged write is there afterwards.
    fn end(mut self) {
        let machine = self.machine.cut(1);
        if let Err(loss) = check(&machine, &self.mint, &mut self.clients) {
            panic!("{loss}");
        }
    }
}

/// Checkpoints the log. While another connection checkpoints it, SQLite does nothing and reports
/// that it is busy, so try again.
fn checkpoint(sqlite: &Connection) -> rusqlite::Result<()> {
    loop {
        let is_busy: bool =
            sqlite.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| row.get(0))?;
        if !is_busy {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn while_the_disk_rejects_writes_nothing_is_acknowledged_and_reads_succeed() {
    for (step, part, failure) in [
        (Step::Write, Part::Any, Failure::Full),
        (Step::Write, Part::Log, Failure::Full),
        (Step::Write, Part::Any, Failure::Io),
        (Step::Write, Part::Any, Failure::ReadOnly),
        (Step::Sync, Part::Log, Failure::Io),
        (Step::Sync, Part::Log, Failure::Full),
    ] {
        let mut scenario = Scenario::new(7);
        let store = scenario.machine.open().unwrap();
        assert_eq!(scenario.write(&store), []);
        scenario.machine.disk.fail(step, part, failure);
        for _ in 0..3 {
            assert_eq!(
                scenario.write(&store),
                [StoreErrorKind::Unavailable; CLIENTS]
            );
            // The failed writes left no traces.
            scenario.reconcile(&store);
        }
        assert!(scenario.machine.disk.clear_failure() > 0);
        assert_eq!(scenario.write(&store), []);
        scenario.reconcile(&store);
        scenario.end();
    }
}

#[test]
fn while_checkpoints_fail_writes_succeed() {
    for (step, failure) in [
        (Step::Write, Failure::Full),
        (Step::Write, Failure::Io),
        (Step::Write, Failure::ReadOnly),
    ] {
        let mut scenario = Scenario::new(8);
        let store = scenario.machine.open().unwrap();
        let sqlite = scenario.machine.sqlite().unwrap();
        scenario.machine.disk.fail(step, Part::Database, failure);
        for _ in 0..3 {
            assert_eq!(scenario.write(&store), []);
            assert!(checkpoint(&sqlite).is_err());
            scenario.reconcile(&store);
        }
        assert!(scenario.machine.disk.clear_failure() > 0);
        assert_eq!(scenario.write(&store), []);
        checkpoint(&sqlite).unwrap();
        assert_eq!(scenario.write(&store), []);
        scenario.end();
    }
}

#[test]
fn a_record_that_cannot_be_read_is_unavailable_and_not_unknown() {
    let mut scenario = Scenario::new(9);
    let store = scenario.machine.open().unwrap();
    assert_eq!(scenario.write(&store), []);
    drop(store);
    // A store that was just opened has nothing in its cache.
    let store = scenario.machine.open().unwrap();
    scenario
        .machine
        .disk
        .fail(Step::Read, Part::Any, Failure::Io);
    for client in &scenario.clients {
        for id in client.ids() {
            let unread = futures_executor::block_on(store.find(&id)).unwrap_err();
            assert_eq!(unread.kind(), StoreErrorKind::Unavailable);
        }
    }
    assert_eq!(
        scenario.write(&store),
        [StoreErrorKind::Unavailable; CLIENTS]
    );
    assert!(scenario.machine.disk.clear_failure() > 0);
    scenario.reconcile(&store);
    assert_eq!(scenario.write(&store), []);
    scenario.end();
}

/// SQLite does not write a page again that it has checkpointed. If the sync of the database failed,
/// the page was lost, and after the log was reset it was lost for good.
#[test]
fn bug_a_failed_sync_of_the_database_lost_pages_checkpointed_before_it() {
    let mut scenario = Scenario::new(10);
    let store = scenario.machine.open().unwrap();
    assert_eq!(scenario.write(&store), []);
    // A long read, such as a backup, limits a checkpoint to the frames that were written before it
    // began.
    let reader = scenario.machine.sqlite().unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM keywright_keys")
        .unwrap();
    while log_frames(&scenario.machine) < 1100 {
        assert_eq!(scenario.write(&store), []);
    }
    reader.execute_batch("COMMIT").unwrap();
    scenario
        .machine
        .disk
        .fail(Step::Sync, Part::Database, Failure::Io);
    scenario.write(&store);
    assert!(scenario.machine.disk.clear_failure() > 0);

    let rejected = futures_executor::block_on(store.is_empty()).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    let why = std::error::Error::source(&rejected).map(ToString::to_string);
    assert!(why.unwrap().contains("could not be synced"), "{rejected:?}");
    drop(reader);
    // Further writes are rejected, and do no further damage.
    for number in 100..106 {
        let mut other = Client::new(number as u64, number);
        let again = other.write(&scenario.mint, &store).unwrap_err();
        assert_eq!(again.kind(), StoreErrorKind::Unavailable);
    }
    drop(store);
    let store = scenario.machine.open().unwrap();
    scenario.reconcile(&store);
    for _ in 0..5 {
        assert_eq!(scenario.write(&store), []);
    }
    scenario.reconcile(&store);
    checkpoint(&scenario.machine.sqlite().unwrap()).unwrap();
    assert_eq!(scenario.write(&store), []);
    drop(store);
    scenario.end();
}

/// The length of the log, in frames of one page each.
fn log_frames(machine: &Machine) -> u64 {
    std::fs::metadata(machine.path("keys.db-wal"))
        .unwrap()
        .len()
        / 4120
}

#[test]
fn opening_or_writing_fails_on_a_failing_disk_and_changes_nothing() {
    let mut scenario = Scenario::new(11);
    let store = scenario.machine.open().unwrap();
    assert_eq!(scenario.write(&store), []);
    drop(store);
    for (step, failure) in [
        (Step::Read, Failure::Io),
        (Step::Write, Failure::Full),
        (Step::Write, Failure::Io),
        (Step::Sync, Failure::Io),
    ] {
        scenario.machine.disk.fail(step, Part::Any, failure);
        // Opening may succeed where it does not need the failing operation.
        if let Ok(store) = scenario.machine.open() {
            assert_eq!(
                scenario.write(&store),
                [StoreErrorKind::Unavailable; CLIENTS]
            );
        }
        assert!(scenario.machine.disk.clear_failure() > 0);
        let store: Arc<SqliteStore> = Arc::new(scenario.machine.open().unwrap());
        scenario.reconcile(&*store);
    }
    scenario.end();
}
