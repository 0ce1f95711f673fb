//! Backing up a store that is in use.

use std::{fs, io, path, path::Path, sync::Arc, thread};

use futures_channel::oneshot;
use keywright_core::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{
    connection::BUSY_TIMEOUT,
    error::{Error, Result},
    file,
    gate::Gates,
    store::SqliteStore,
};

/// The number of steps of SQLite's virtual machine between two checks of whether the writer waits
/// for the backup.
const STEPS: i32 = 1000;

impl SqliteStore {
    /// Copies the file into a new one with mode 0600, while other callers continue to read and
    /// write. In the database of a host, this copies its tables as well.
    ///
    /// The copy is a complete store. To restore it, stop all programs that have the original open,
    /// remove the original with its `-wal` and `-shm`, and move the copy to its path.
    ///
    /// **Restoring a backup reactivates the keys that were revoked after it was made.** Keep a list
    /// of revocations, and revoke those keys again. It also undoes later updates, such as a pause.
    ///
    /// If a table of the host needs a collation or a virtual table that the host registers on its
    /// connections, the copy fails: make it with a connection of the host instead.
    ///
    /// Dropping the future does not stop the copy.
    ///
    /// The store cannot restart the log during a backup. If other callers make the log grow to 1
    /// GiB, the store aborts the backup.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the file `to` exists, the copy cannot be written, or the backup was
    /// aborted. A failed backup leaves no new file.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let from = self.path()?.to_owned();
        let gates = self.gates();
        let to = path::absolute(to).map_err(Error::from)?;
        let (sender, receiver) = oneshot::channel();
        // A large file takes a long time to copy, which would block one of the reader threads.
        thread::Builder::new()
            .name("kw-sqlite-copy".into())
            .spawn(move || sender.send(copy(&from, &to, &gates)))
            .map_err(Error::from)?;
        Ok(receiver.await.unwrap_or(Err(Error::JobLost))?)
    }
}

fn copy(from: &Path, to: &Path, gates: &Arc<Gates>) -> Result<()> {
    // `VACUUM INTO` accepts an empty file, so the copy has the right mode from the start.
    let file = file::create(to)?;
    let writer = Arc::clone(gates);
    let inside = gates.backups.enter();
    let copied = vacuum_into(from, to, move || writer.backups.is_closed());
    drop(inside);
    let copied = copied.and_then(|()| {
        file.sync_all()?;
        file::sync_directory_of(to)?;
        Ok(())
    });
    if copied.is_err() {
        // The caller gets the first error. If the disk is gone, a part of the copy may remain.
        let _ = fs::remove_file(to);
    }
    copied
}

/// Copies the file, and aborts once `is_aborted` returns true.
fn vacuum_into(
    from: &Path,
    to: &Path,
    is_aborted: impl FnMut() -> bool + Send + 'static,
) -> Result<()> {
    let to = to.to_str().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a backup must be UTF-8",
        )
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(from, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.progress_handler(STEPS, Some(is_aborted))?;
    match connection.execute("VACUUM INTO ?1", [to]) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(Error::LogTooLong)
        }
        copied => Ok(copied.map(|_| ())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::SqliteConfig, open};

    #[test]
    fn a_backup_ends_when_the_writer_needs_to_restart_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let opened = open::open(&folder.path().join("keys.db"), SqliteConfig::new()).unwrap();
        let fill = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 5000)
            INSERT INTO keywright_settings SELECT i, hex(zeroblob(100)) FROM n";
        opened.writer.execute(fill, ()).unwrap();
        let copy = |name: &str, is_aborted: fn() -> bool| {
            vacuum_into(&opened.path, &folder.path().join(name), is_aborted)
        };
        assert!(copy("complete.db", || false).is_ok());
        let aborted = copy("aborted.db", || true);
        assert!(matches!(aborted, Err(Error::LogTooLong)), "{aborted:?}");
    }
}
