//! Whether the files of a store are still the files that were opened, and contain what was written
//! to them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;

use crate::{
    error::{Error, Result},
    file::with_suffix,
};

/// The identity of the file, its log and the log's index: their paths, and the device and inode
/// that each path had when the store was opened.
///
/// If one of them is removed or replaced, SQLite continues with the old file, which no one else can
/// open any more.
#[derive(Clone, Debug)]
pub(crate) struct FileIdentity(Arc<Files>);

#[derive(Debug)]
struct Files {
    /// The file, its log and the log's index.
    files: [FileId; 3],
    /// Whether a sync of the file has failed.
    unsynced: AtomicBool,
}

#[derive(Debug)]
struct FileId {
    path: PathBuf,
    inode: Option<Inode>,
}

/// A device, and the number of a file on it.
type Inode = (u64, u64);

impl FileIdentity {
    /// Reads the identity of a file that an open connection has already read from.
    ///
    /// SQLite keeps the log and its index until the last connection is closed, and changes only
    /// their lengths.
    pub(crate) fn of(path: PathBuf) -> io::Result<Self> {
        let log = FileId::of(with_suffix(&path, "-wal"))?;
        let index = FileId::of(with_suffix(&path, "-shm"))?;
        Ok(Self(Arc::new(Files {
            files: [FileId::of(path)?, log, index],
            unsynced: AtomicBool::new(false),
        })))
    }

    pub(crate) fn path(&self) -> &Path {
        let [file, ..] = &self.0.files;
        &file.path
    }

    /// Fails if one of the files was removed or replaced, or if a sync of the file has failed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_intact() {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// Whether all three files are in place, and no sync has failed.
    pub(crate) fn is_intact(&self) -> bool {
        !self.is_unsynced() && self.0.files.iter().all(FileId::is_in_place)
    }

    /// Returns why the files are not intact.
    pub(crate) fn error(&self) -> Error {
        if self.is_unsynced() {
            Error::Unsynced
        } else {
            Error::Replaced
        }
    }

    /// Records that a sync of the file has failed.
    pub(crate) fn mark_unsynced(&self) {
        self.0.unsynced.store(true, Ordering::Release);
    }

    /// Whether a sync of the file has failed.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.0.unsynced.load(Ordering::Acquire)
    }
}

impl FileId {
    fn of(path: PathBuf) -> io::Result<Self> {
        let inode = inode(&path)?;
        Ok(Self { path, inode })
    }

    fn is_in_place(&self) -> bool {
        inode(&self.path).is_ok_and(|inode| inode == self.inode)
    }
}

#[cfg(unix)]
fn inode(path: &Path) -> io::Result<Option<Inode>> {
    let metadata = std::fs::metadata(path)?;
    Ok(Some((metadata.dev(), metadata.ino())))
}

/// Returns `None`: outside Unix an open file cannot be removed.
#[cfg(not(unix))]
fn inode(_: &Path) -> io::Result<Option<Inode>> {
    Ok(None)
}
