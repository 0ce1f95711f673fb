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

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use rusqlite::{Connection, Result, ffi, hooks::Wal};

use crate::{connection::disable_checkpoint_on_close, file_identity::FileIdentity};

/// The length at which the log is checkpointed, in pages. SQLite has the same default.
const THRESHOLD: i32 = 1000;

/// Checkpoints the log once it reaches [`THRESHOLD`].
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// The length of the log after the latest commit, in pages. 0 if there was no commit since the
    /// last check.
    log_pages: Arc<AtomicI32>,
}

impl Checkpointer {
    /// Replaces the automatic checkpoints of this connection.
    pub(crate) fn attach(connection: &mut Connection) -> Result<Self> {
        let log_pages = Arc::new(AtomicI32::new(0));
        let latest = Arc::clone(&log_pages);
        // SQLite's automatic checkpoints use the same hook, and a connection has only one.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            latest.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { log_pages })
    }

    /// Checkpoints if the log has reached [`THRESHOLD`].
    pub(crate) fn run_if_due(&self, connection: &Connection, files: &FileIdentity) {
        if self.log_pages.swap(0, Ordering::Relaxed) < THRESHOLD {
            return;
        }
        // After any other failure, such as a full disk, the log is complete, and the checkpoint is
        // tried again after the next commit.
        if checkpoint(connection).is_err_and(|error| is_failed_sync(&error)) {
            files.mark_unsynced();
        }
    }
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

/// Checkpoints without waiting: pages that a reader still needs stay in the log.
fn checkpoint(connection: &Connection) -> Result<()> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_one((), |_| Ok(()))
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
