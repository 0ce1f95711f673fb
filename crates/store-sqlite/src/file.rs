//! Creating the files of a store, and checking them before SQLite opens them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[cfg(unix)]
use rustix::fs::OFlags;

/// The mode of the files of a store: only their owner may read and write them.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

/// Creates an empty file with mode 0600, whatever the umask. Fails if the path exists, even as a
/// symbolic link.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE);
    let file = options.open(path)?;
    // A umask such as 0777 also removes the owner's permissions.
    #[cfg(unix)]
    file.set_permissions(PermissionsExt::from_mode(PRIVATE))?;
    Ok(file)
}

/// Opens a regular file for writing, and creates it with mode 0600 if it does not exist. Does not
/// follow a symbolic link, and does not wait for the other end of a pipe.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    match create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        OFlags::NOFOLLOW
            .union(OFlags::NONBLOCK)
            .bits()
            .cast_signed(),
    );
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// Returns the files that the group or others may read or write, with their modes.
#[cfg(unix)]
pub(crate) fn exposed<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
) -> impl Iterator<Item = (&'a PathBuf, u32)> {
    paths.into_iter().filter_map(|path| {
        let mode = fs::symlink_metadata(path).ok()?.mode() & 0o777;
        (mode & 0o066 != 0).then_some((path, mode))
    })
}

/// Returns no file, because files have no mode outside Unix.
#[cfg(not(unix))]
pub(crate) fn exposed<'a>(
    _: impl IntoIterator<Item = &'a PathBuf>,
) -> impl Iterator<Item = (&'a PathBuf, u32)> {
    std::iter::empty()
}

/// Logs a warning for each file of a store that other users may read or write.
pub(crate) fn warn_if_exposed(path: &Path) {
    let files = ["", "-wal", "-shm", "-lock"].map(|suffix| with_suffix(path, suffix));
    for (file, mode) in exposed(&files) {
        tracing::warn!(
            "other users may read or write {}, which has mode {mode:04o}: run chmod 600",
            file.display()
        );
    }
}

/// Creates the file if it does not exist, and makes its name durable.
pub(crate) fn create_if_missing(path: &Path) -> io::Result<()> {
    // Closing a file drops all POSIX locks that the process has on it. So this file must be closed
    // before another thread can find it and let SQLite lock it.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    match create(path) {
        Ok(file) => drop(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    sync_directory_of(path)
}

/// Returns the path with `suffix` appended to the file's name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the file is missing or empty, but its log exists. SQLite would delete the log and create
/// an empty database.
pub(crate) fn has_only_log(path: &Path) -> io::Result<bool> {
    // The log is next to the target of a symbolic link.
    let path = &path.canonicalize().unwrap_or_else(|_| path.into());
    // The log is checked first: another process writes to a new file before it creates the log.
    if !with_suffix(path, "-wal").try_exists()? {
        return Ok(false);
    }
    match fs::metadata(path) {
        // SQLite treats a file of one byte as empty.
        Ok(metadata) => Ok(metadata.len() <= 1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether the file has a second name that is a hard link. SQLite would keep a separate log for
/// each name.
#[cfg(unix)]
pub(crate) fn has_hard_links(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    Ok(metadata.is_file() && metadata.nlink() > 1)
}

/// Returns false: the standard library counts hard links on Unix only.
#[cfg(not(unix))]
pub(crate) fn has_hard_links(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Makes the name of a new file durable by syncing its directory.
#[cfg(unix)]
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Does nothing: outside Unix a directory cannot be synced, and need not be.
#[cfg(not(unix))]
pub(crate) fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}
