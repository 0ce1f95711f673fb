//! Checkpoints, which copy the write-ahead log into the file.
//!
//! By default SQLite checkpoints inside a commit, so that the caller waits for it, and ignores a
//! checkpoint that fails. This module checkpoints after the callers have their answers, and does
//! not ignore a sync that fails.
//!
//! After a failed sync, Linux drops the pages that it could not write, and the next sync succeeds.
//! SQLite does not copy again the pages that an earlier checkpoint has copied. It would restart the
//! log, and those pages would be neither in the log nor in the file. So after a failed sync, the
//! store rejects every operation and leaves the log as it is. When all connections are closed and
//! the file is opened again, SQLite reads the whole log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use rusqlite::{Connection, ffi, hooks::Wal};

use crate::{
    connection::disable_checkpoint_on_close, error::Result, file_identity::FileIdentity, record,
};

/// The length of the log from which on it is checkpointed after each commit, in pages. It is
/// SQLite's own default.
const THRESHOLD: i32 = 1000;

/// How long after a commit its pages are copied into the file at the latest, unless a reader still
/// needs the state before it. The crate's docs state this bound.
const DELAY: Duration = Duration::from_secs(1);

/// Checkpoints the log after commits.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// The length of the log after the latest commit, in pages. 0 if there was no commit since the
    /// last check.
    log_pages: Arc<AtomicI32>,
    /// Whether the store had no key after the last commit.
    is_empty: bool,
    /// A channel that receives a message when the next checkpoint is due. `None` if the whole log
    /// has been checkpointed.
    due: Option<Receiver<Instant>>,
}

impl Checkpointer {
    /// Replaces the automatic checkpoints of this connection.
    pub(crate) fn attach(connection: &mut Connection) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicI32::new(0));
        let latest = Arc::clone(&log_pages);
        // SQLite's automatic checkpoints use the same hook, and a connection has only one.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            latest.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            log_pages,
            // A damaged file can still be opened, and is not empty.
            is_empty: record::is_empty(connection).unwrap_or(false),
            // A program that crashed may have left a log.
            due: Some(crossbeam_channel::after(DELAY)),
        })
    }

    /// Returns a channel that receives a message when the next checkpoint is due.
    pub(crate) fn due(&self) -> Receiver<Instant> {
        self.due.clone().unwrap_or_else(crossbeam_channel::never)
    }

    /// Checkpoints now if the log is long, and later otherwise.
    pub(crate) fn after_commit(&mut self, connection: &Connection, files: &FileIdentity) {
        let pages = self.log_pages.swap(0, Ordering::Relaxed);
        if pages == 0 {
            return;
        }
        // A copy of the file without its log must not look like a store without keys.
        let has_first_key =
            self.is_empty && record::is_empty(connection).is_ok_and(|is_empty| !is_empty);
        if has_first_key || pages >= THRESHOLD {
            self.is_empty &= !has_first_key;
            self.run(connection, files);
        } else {
            self.due
                .get_or_insert_with(|| crossbeam_channel::after(DELAY));
        }
    }

    /// Checkpoints. Pages that a reader still needs stay in the log, and a further checkpoint
    /// becomes due.
    pub(crate) fn run(&mut self, connection: &Connection, files: &FileIdentity) {
        self.due = match checkpoint_intact(connection, files) {
            Ok(Progress::Complete) => None,
            // After any other failure than that of a sync, such as a full disk, the log is
            // complete, and the checkpoint is tried again.
            Ok(Progress::Partial) | Err(_) => Some(crossbeam_channel::after(DELAY)),
        };
    }
}

fn checkpoint_intact(connection: &Connection, files: &FileIdentity) -> Result<Progress> {
    // A log that is not at its path any more must not be copied into the file.
    files.check()?;
    let progress = checkpoint(connection);
    if progress.as_ref().is_err_and(is_failed_sync) {
        files.mark_unsynced();
    }
    Ok(progress?)
}

/// Keeps the log when this connection is closed, if a sync has failed.
///
/// It must be called before closing a connection that may be the last: SQLite would checkpoint and
/// delete the log.
pub(crate) fn keep_log_if_unsynced(connection: &Connection, files: &FileIdentity) {
    if files.is_unsynced() {
        // This sets a flag of the connection and cannot fail.
        let _ = disable_checkpoint_on_close(connection);
    }
}

/// Whether a checkpoint has copied the whole log.
enum Progress {
    Complete,
    Partial,
}

/// Checkpoints without waiting: pages that a reader still needs stay in the log.
fn checkpoint(connection: &Connection) -> rusqlite::Result<Progress> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_one((), |row| {
            let [busy, pages, copied]: [i64; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok(if busy == 0 && pages == copied {
                Progress::Complete
            } else {
                Progress::Partial
            })
        })
}

fn is_failed_sync(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_extended_error_code(),
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_sync_counts_as_one() {
        let failure = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            assert!(is_failed_sync(&failure(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_WRITE,
        ] {
            assert!(!is_failed_sync(&failure(code)), "{code}");
        }
    }
}
