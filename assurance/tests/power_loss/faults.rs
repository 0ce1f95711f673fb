//! The disk is full, may not be written, or fails: nothing is acknowledged that is not done, reads go
//! on, and all is well again once the disk is.

use std::{sync::Arc, thread};

use keywright_core::{KeyStore, StoreErrorKind};
use keywright_store_sqlite::SqliteStore;
use rusqlite::Connection;

use crate::{
    client::{Client, Mint},
    cuts::check,
    disk::{Failure, Image, Part, Step},
    machine::Machine,
};

const CLIENTS: usize = 4;

/// Writes that a client does one after another in each part of a test.
const WRITES: usize = 25;

struct Story {
    mint: Mint,
    machine: Machine,
    clients: Vec<Client>,
}

impl Story {
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

    /// Has all clients write at once. Each stops at its first failure; the kinds of those.
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

    /// Reads all that the clients have, which is what they were told.
    fn settle(&mut self, store: &dyn KeyStore) {
        for client in &mut self.clients {
            if let Err(loss) = client.settle(store) {
                panic!("{loss}");
            }
        }
    }

    /// The power is cut, and all is there that was acknowledged.
    fn end(mut self) {
        let machine = self.machine.cut(1);
        if let Err(loss) = check(&machine, &self.mint, &mut self.clients) {
            panic!("{loss}");
        }
    }
}

fn write_back(sqlite: &Connection) -> rusqlite::Result<(i64, i64)> {
    sqlite.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}

#[test]
fn while_the_disk_does_not_write_nothing_is_acknowledged_and_reads_go_on() {
    for (step, part, failure) in [
        (Step::Write, Part::Any, Failure::Full),
        (Step::Write, Part::Log, Failure::Full),
        (Step::Write, Part::Any, Failure::Io),
        (Step::Write, Part::Any, Failure::ReadOnly),
        (Step::Sync, Part::Log, Failure::Io),
        (Step::Sync, Part::Log, Failure::Full),
    ] {
        let mut story = Story::new(7);
        let store = story.machine.open().unwrap();
        assert_eq!(story.write(&store), []);
        story.machine.disk.fail(step, part, failure);
        for _ in 0..3 {
            assert_eq!(story.write(&store), [StoreErrorKind::Unavailable; CLIENTS]);
            // What has failed has left nothing.
            story.settle(&store);
        }
        assert!(story.machine.disk.heal() > 0);
        assert_eq!(story.write(&store), []);
        story.settle(&store);
        story.end();
    }
}

#[test]
fn while_the_log_cannot_be_written_back_writes_go_on() {
    for (step, failure) in [
        (Step::Write, Failure::Full),
        (Step::Write, Failure::Io),
        (Step::Write, Failure::ReadOnly),
    ] {
        let mut story = Story::new(8);
        let store = story.machine.open().unwrap();
        let sqlite = story.machine.sqlite().unwrap();
        story.machine.disk.fail(step, Part::Database, failure);
        for _ in 0..3 {
            assert_eq!(story.write(&store), []);
            assert!(write_back(&sqlite).is_err());
            story.settle(&store);
        }
        assert!(story.machine.disk.heal() > 0);
        assert_eq!(story.write(&store), []);
        write_back(&sqlite).unwrap();
        assert_eq!(story.write(&store), []);
        story.end();
    }
}

#[test]
fn what_cannot_be_read_is_unavailable_and_never_unknown() {
    let mut story = Story::new(9);
    let store = story.machine.open().unwrap();
    assert_eq!(story.write(&store), []);
    drop(store);
    // Opened anew, nothing is in a cache.
    let store = story.machine.open().unwrap();
    story.machine.disk.fail(Step::Read, Part::Any, Failure::Io);
    for client in &story.clients {
        for id in client.ids() {
            let unread = futures_executor::block_on(store.find(&id)).unwrap_err();
            assert_eq!(unread.kind(), StoreErrorKind::Unavailable);
        }
    }
    assert_eq!(story.write(&store), [StoreErrorKind::Unavailable; CLIENTS]);
    assert!(story.machine.disk.heal() > 0);
    story.settle(&store);
    assert_eq!(story.write(&store), []);
    story.end();
}

/// What SQLite takes for written back, and does not write a second time, was lost with the sync of
/// what came after it; once the log was begun anew, it was nowhere.
#[test]
fn a_sync_of_the_database_that_failed_lost_what_had_been_written_back_before_it() {
    let mut story = Story::new(10);
    let store = story.machine.open().unwrap();
    assert_eq!(story.write(&store), []);
    // A long read, such as a backup, keeps the log from being written back beyond where it began.
    let reader = story.machine.sqlite().unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM keys")
        .unwrap();
    while log_pages(&story.machine) < 1100 {
        assert_eq!(story.write(&store), []);
    }
    reader.execute_batch("COMMIT").unwrap();
    story
        .machine
        .disk
        .fail(Step::Sync, Part::Database, Failure::Io);
    story.write(&store);
    assert!(story.machine.disk.heal() > 0);

    let refused = futures_executor::block_on(store.is_empty()).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    let why = std::error::Error::source(&refused).map(ToString::to_string);
    assert!(why.unwrap().contains("could not be synced"), "{refused:?}");
    drop(reader);
    // Whoever asks again meanwhile is refused, and makes nothing worse.
    for number in 100..106 {
        let mut other = Client::new(number as u64, number);
        let again = other.write(&story.mint, &store).unwrap_err();
        assert_eq!(again.kind(), StoreErrorKind::Unavailable);
    }
    drop(store);
    let store = story.machine.open().unwrap();
    story.settle(&store);
    for _ in 0..5 {
        assert_eq!(story.write(&store), []);
    }
    story.settle(&store);
    write_back(&story.machine.sqlite().unwrap()).unwrap();
    assert_eq!(story.write(&store), []);
    drop(store);
    story.end();
}

/// The length of the log, in pages.
fn log_pages(machine: &Machine) -> u64 {
    std::fs::metadata(machine.path("keys.db-wal"))
        .unwrap()
        .len()
        / 4120
}

#[test]
fn a_store_that_was_opened_on_a_failing_disk_is_refused_and_left_as_it_is() {
    let mut story = Story::new(11);
    let store = story.machine.open().unwrap();
    assert_eq!(story.write(&store), []);
    drop(store);
    for (step, failure) in [
        (Step::Read, Failure::Io),
        (Step::Write, Failure::Full),
        (Step::Write, Failure::Io),
        (Step::Sync, Failure::Io),
    ] {
        story.machine.disk.fail(step, Part::Any, failure);
        // It may open where nothing had to be written.
        if let Ok(store) = story.machine.open() {
            assert_eq!(story.write(&store), [StoreErrorKind::Unavailable; CLIENTS]);
        }
        assert!(story.machine.disk.heal() > 0);
        let store: Arc<SqliteStore> = Arc::new(story.machine.open().unwrap());
        story.settle(&*store);
    }
    story.end();
}
