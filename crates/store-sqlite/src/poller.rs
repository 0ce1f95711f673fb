//! The thread that detects changes by other handles and processes, and extends the lease.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use keywright_core::store::{JoinOnDrop, Lease};
use rusqlite::Connection;

use crate::{
    changes::{self, Changed},
    checkpoint,
    error::Result,
    file_identity::FileIdentity,
};

/// The time between two polls.
const INTERVAL: Duration = Duration::from_millis(25);

/// How long a cached copy may be used after a poll began. It is the bound that the crate's docs
/// state. If a poll is late, the lease lapses and verifiers read from the store.
const TERM: Duration = Duration::from_millis(100);

/// A thread that polls the file until this is dropped.
#[derive(Debug)]
pub(crate) struct Poller {
    // This field is dropped first, which ends the thread.
    _stop_on_drop: Sender<()>,
    _thread: JoinOnDrop,
}

impl Poller {
    /// Polls once, and then repeatedly on a thread.
    pub(crate) fn start(
        connection: Connection,
        files: FileIdentity,
        lease: Arc<Lease>,
    ) -> io::Result<Self> {
        let (stop_on_drop, stopped) = mpsc::channel();
        let mut polling = Polling {
            connection,
            files,
            lease,
            last_seen: None,
        };
        polling.poll();
        let thread = thread::Builder::new()
            .name("kw-sqlite-poll".into())
            .spawn(move || {
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    polling.poll();
                }
                polling.lease.end();
                checkpoint::keep_log_if_unsynced(&polling.connection, &polling.files);
            })?;
        Ok(Self {
            _stop_on_drop: stop_on_drop,
            _thread: JoinOnDrop::new(thread),
        })
    }
}

struct Polling {
    connection: Connection,
    files: FileIdentity,
    lease: Arc<Lease>,
    /// `None` before the first poll and after a poll that failed.
    last_seen: Option<Seen>,
}

/// The state of the file at a poll.
#[derive(Clone, Copy)]
struct Seen {
    /// SQLite's `data_version`, which changes with each commit of another connection.
    data_version: i64,
    /// The number of the latest entry of the table `keywright_changes`.
    latest_change: i64,
}

impl Polling {
    /// Invalidates the copies of records that others have changed, and extends the lease.
    ///
    /// The term counts from before the file is read, and the copies are invalidated before the
    /// lease is extended. So a verifier that holds the lease either sees the invalidation, or uses
    /// a copy whose record changed less than a term ago.
    fn poll(&mut self) {
        let began = self.lease.now();
        match self.invalidate_changed() {
            Ok(seen) => {
                self.last_seen = Some(seen);
                self.lease.extend(began + TERM);
            }
            // The changes since the last poll are unknown, so verifiers must read from the store.
            Err(_) => {
                self.last_seen = None;
                self.lease.end();
            }
        }
    }

    fn invalidate_changed(&self) -> Result<Seen> {
        self.files.check()?;
        // This is read before the changes. A commit in between is found by the next poll.
        let data_version = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_one((), |row| row.get(0))?;
        let Some(last_seen) = self.last_seen else {
            let latest_change = changes::latest(&self.connection)?;
            self.lease.changed_all();
            return Ok(Seen {
                data_version,
                latest_change,
            });
        };
        if data_version == last_seen.data_version {
            return Ok(last_seen);
        }
        let transaction = self.connection.unchecked_transaction()?;
        let (changed, latest_change) = Changed::since(&self.connection, last_seen.latest_change)?;
        transaction.commit()?;
        changed.notify(&self.lease);
        Ok(Seen {
            data_version,
            latest_change,
        })
    }
}
