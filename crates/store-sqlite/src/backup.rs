//! Backing up a store that is in use.

use std::{fs, io, path, path::Path, thread};

use futures_channel::oneshot;
use keywright_core::store::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::{
    connection::BUSY_TIMEOUT,
    error::{Error, Result},
    file,
    store::SqliteStore,
};

impl SqliteStore {
    /// Copies the store into a new file with mode 0600, while other callers continue to read and
    /// write.
    ///
    /// The copy is a complete store. To restore it, stop all programs that have the original open,
    /// remove the original with its `-wal` and `-shm`, and move the copy to its path.
    ///
    /// **Restoring a backup reactivates the keys that were revoked after it was made.** Keep a list
    /// of revocations, and revoke those keys again.
    ///
    /// Dropping the future does not stop the copy.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the file `to` exists or the copy cannot be written. A failed backup leaves
    /// no new file.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let from = self.path()?.to_owned();
        let to = path::absolute(to).map_err(Error::from)?;
        let (sender, receiver) = oneshot::channel();
        // A large file takes a long time to copy, which would block one of the reader threads.
        thread::Builder::new()
            .name("kw-sqlite-copy".into())
            .spawn(move || sender.send(copy(&from, &to)))
            .map_err(Error::from)?;
        Ok(receiver.await.unwrap_or(Err(Error::JobLost))?)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // `VACUUM INTO` accepts an empty file, so the copy has the right mode from the start.
    let file = file::create(to)?;
    let copied = vacuum_into(from, to).and_then(|()| {
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

fn vacuum_into(from: &Path, to: &Path) -> Result<()> {
    let to = to.to_str().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a backup must be UTF-8",
        )
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}
