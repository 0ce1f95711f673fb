//! Writing the log back into the file.
//!
//! SQLite does that by itself, inside a commit and before its caller is answered, and keeps it to
//! itself when it fails. Where it was a sync that failed, that is not harmless. What was written back
//! earlier, and not synced because the log went on, is not written again, and Linux does not try
//! again either, but forgets: the next sync succeeds, the log is begun anew, and what it had is
//! nowhere. Whoever opens the file after all have closed it reads the whole log again; until then
//! nothing is answered.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use rusqlite::{Connection, Result, ffi, hooks::Wal};

use crate::{connection, place::Place};

/// Length of the log from which it is written back, in pages. It is SQLite's own.
const LONG: i32 = 1000;

/// The log, as the commits of a connection tell of it.
#[derive(Debug)]
pub(crate) struct Log {
    /// Its length after the latest commit, in pages; 0 if there was none since it was looked at.
    pages: Arc<AtomicI32>,
}

impl Log {
    /// Takes over from SQLite when to write back.
    pub(crate) fn watch(connection: &mut Connection) -> Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let noted = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            noted.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages })
    }

    /// Writes the log back if it is long.
    pub(crate) fn write_back(&self, connection: &Connection, place: &Place) {
        if self.pages.swap(0, Ordering::Relaxed) < LONG {
            return;
        }
        // Another failure, such as that of a full disk, leaves the log as it is, and the next commit
        // tries again.
        if checkpoint(connection).is_err_and(|error| is_of_a_sync(&error)) {
            place.lose();
        }
    }
}

/// To be called before a connection that may be the last is closed: it would write back the rest of the
/// log and remove it.
pub(crate) fn before_close(connection: &Connection, place: &Place) {
    if place.is_lost() {
        // It is one bit of the connection, and cannot fail.
        let _ = connection::keep_log(connection);
    }
}

/// Waits for nobody: what others still read stays in the log.
fn checkpoint(connection: &Connection) -> Result<()> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_one((), |_| Ok(()))
}

fn is_of_a_sync(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_extended_error_code(),
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_lost_by_a_sync_that_failed_and_by_nothing_else() {
        let failure = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            assert!(is_of_a_sync(&failure(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_WRITE,
        ] {
            assert!(!is_of_a_sync(&failure(code)), "{code}");
        }
    }
}
