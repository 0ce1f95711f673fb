//! The thread that learns what others have changed, and vouches for the copies of the rest.

use std::{io, sync::Arc, thread, time::Duration};

use crossbeam_channel::{RecvTimeoutError, Sender};
use keywright_core::Lease;
use rusqlite::Connection;

use crate::{
    changes::{self, Changed},
    error::Result,
    place::Place,
    worker::Thread,
    write_back,
};

/// How often the file is asked whether it has changed.
const INTERVAL: Duration = Duration::from_millis(25);

/// How long after it was asked a copy may be used. It is the bound that the crate's docs state: a
/// poll that comes late makes verifiers ask the store, and never makes them wrong.
const TERM: Duration = Duration::from_millis(100);

/// A thread that asks the file, as long as this lives.
#[derive(Debug)]
pub(crate) struct Poller {
    // The order matters: it is the end of this that ends the thread.
    _alive: Sender<()>,
    _thread: Thread,
}

impl Poller {
    /// Asks once, and then again and again.
    pub(crate) fn start(
        connection: Connection,
        place: Place,
        lease: Arc<Lease>,
    ) -> io::Result<Self> {
        let (alive, ended) = crossbeam_channel::bounded(0);
        let mut poll = Poll {
            connection,
            place,
            lease,
            state: None,
        };
        poll.run();
        let thread = thread::Builder::new()
            .name("kw-sqlite-poll".into())
            .spawn(move || {
                while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    poll.run();
                }
                poll.lease.end();
                write_back::before_close(&poll.connection, &poll.place);
            })?;
        Ok(Self {
            _alive: alive,
            _thread: Thread::new(thread),
        })
    }
}

struct Poll {
    connection: Connection,
    place: Place,
    lease: Arc<Lease>,
    /// `None` before the first poll and after one that failed.
    state: Option<State>,
}

/// What was seen last.
#[derive(Clone, Copy)]
struct State {
    /// SQLite's `data_version`, which another connection's commit changes.
    version: i64,
    /// The number of the latest note.
    latest: i64,
}

impl Poll {
    fn run(&mut self) {
        let asked = self.lease.now();
        match self.learn() {
            Ok(state) => {
                self.state = Some(state);
                self.lease.extend(asked + TERM);
            }
            // What has changed meanwhile is not known, and verifiers ask for themselves.
            Err(_) => {
                self.state = None;
                self.lease.end();
            }
        }
    }

    fn learn(&self) -> Result<State> {
        self.place.check()?;
        // Read before the notes: what is committed between is seen next time.
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_one((), |row| row.get(0))?;
        let Some(seen) = self.state else {
            let latest = changes::latest(&self.connection)?;
            self.lease.changed_all();
            return Ok(State { version, latest });
        };
        if version == seen.version {
            return Ok(seen);
        }
        let transaction = self.connection.unchecked_transaction()?;
        let (changed, latest) = Changed::since(&self.connection, seen.latest)?;
        transaction.commit()?;
        changed.tell(&self.lease);
        Ok(State { version, latest })
    }
}
