//! Files that nobody but their owner may read.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;

use crate::error::Error;

/// Creates an empty file with mode 0600, and fails if there is a file already.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates the file unless there is one, and makes its name durable.
pub(crate) fn create_if_missing(path: &Path) -> io::Result<()> {
    // Closing a file gives up all POSIX locks that the process has on it. The file must be closed
    // before another thread, which finds that it exists, can have SQLite lock it.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    match create(path) {
        Ok(file) => drop(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    sync_name(path)
}

/// A file by its path and by what the system knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    id: Option<(u64, u64)>,
}

impl Place {
    pub(crate) fn of(path: PathBuf) -> io::Result<Self> {
        let id = id(&path)?;
        Ok(Self { path, id })
    }

    /// Fails once the file was removed or another one was put in its place: SQLite would go on with
    /// the old one, which nobody can open any more.
    pub(crate) fn check(&self) -> crate::error::Result<()> {
        match id(&self.path) {
            Ok(id) if id == self.id => Ok(()),
            _ => Err(Error::Replaced),
        }
    }
}

#[cfg(unix)]
fn id(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let metadata = std::fs::metadata(path)?;
    Ok(Some((metadata.dev(), metadata.ino())))
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn id(_: &Path) -> io::Result<Option<(u64, u64)>> {
    Ok(None)
}

/// Makes the name of a new file durable.
#[cfg(unix)]
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Elsewhere a directory cannot be synced, and need not be.
#[cfg(not(unix))]
pub(crate) fn sync_name(_: &Path) -> io::Result<()> {
    Ok(())
}
