//! Files that nobody but their owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;

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

/// The path of a file whose name goes on like this.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the file is missing or empty, and yet there is its log. SQLite would remove the log and
/// begin anew.
pub(crate) fn is_lost(path: &Path) -> io::Result<bool> {
    // The log is beside what a symbolic link leads to.
    let path = &path.canonicalize().unwrap_or_else(|_| path.into());
    // In this order: a file that is new is written to before it has a log.
    if !beside(path, "-wal").try_exists()? {
        return Ok(false);
    }
    match fs::metadata(path) {
        // One byte is what SQLite takes for none.
        Ok(metadata) => Ok(metadata.len() <= 1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether the file has another name that is no symbolic link. SQLite would put a log of its own
/// beside each of them.
#[cfg(unix)]
pub(crate) fn has_hard_links(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    Ok(metadata.is_file() && metadata.nlink() > 1)
}

/// Elsewhere it cannot be asked.
#[cfg(not(unix))]
pub(crate) fn has_hard_links(_: &Path) -> io::Result<bool> {
    Ok(false)
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
