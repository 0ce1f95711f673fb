//! Copying the file while it is in use.

use std::{fs, io, path, path::Path, thread};

use futures_channel::oneshot;
use keywright_core::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::{
    error::{Error, Result},
    file,
    store::SqliteStore,
};

impl SqliteStore {
    /// Copies the store as it is now into a new file with mode 0600, while others go on to read and
    /// write. The copy is a store of its own: to restore it, end all programs that have the file
    /// open, remove the file and those beside it (`-wal` and `-shm`), and put the copy in its place.
    ///
    /// **Restoring a backup brings back keys that were revoked since it was made.** Keep a list of
    /// what you revoke, and revoke it again.
    ///
    /// If the future is dropped, the copy is finished all the same.
    ///
    /// # Errors
    ///
    /// `Unavailable` if there is a file at `to`, or the copy cannot be written; there is no file
    /// then that was not there before.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let from = self.path()?.to_owned();
        let to = path::absolute(to).map_err(Error::from)?;
        let (caller, answer) = oneshot::channel();
        // A copy takes as long as the file is large, for which no reader can be spared.
        thread::Builder::new()
            .name("kw-sqlite-copy".into())
            .spawn(move || caller.send(copy(&from, &to)))
            .map_err(Error::from)?;
        Ok(answer.await.unwrap_or(Err(Error::Lost))?)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // SQLite writes into a file that is empty, and so the mode is right from the start.
    let file = file::create(to)?;
    let copied = vacuum_into(from, to).and_then(|()| {
        file.sync_all()?;
        file::sync_name(to)?;
        Ok(())
    });
    if copied.is_err() {
        // That there is no backup is what matters; half of one may be left if the disk is gone.
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
    connection.busy_timeout(crate::connection::BUSY_TIMEOUT)?;
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}
