//! Whether the files of a store are still those that were opened, and hold what was written to them.

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
    file::beside,
};

/// The file, its log and the log's index, by their paths and by what the system knows them by.
#[derive(Clone, Debug)]
pub(crate) struct Place(Arc<Files>);

#[derive(Debug)]
struct Files {
    named: [Named; 3],
    /// Whether a sync of the file has failed.
    lost: AtomicBool,
}

#[derive(Debug)]
struct Named {
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl Place {
    /// The place of a file to which a connection is open that has read from it. Until the last one
    /// is closed, SQLite keeps its log and the index, and only changes their lengths.
    pub(crate) fn of(path: PathBuf) -> io::Result<Self> {
        let log = Named::of(beside(&path, "-wal"))?;
        let index = Named::of(beside(&path, "-shm"))?;
        Ok(Self(Arc::new(Files {
            named: [Named::of(path)?, log, index],
            lost: AtomicBool::new(false),
        })))
    }

    pub(crate) fn path(&self) -> &Path {
        let [file, ..] = &self.0.named;
        &file.path
    }

    /// Fails once one of the files was removed or another one was put in its place: SQLite would go
    /// on with the old one, which nobody can open any more. So it does once a sync has failed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_whole() {
            Ok(())
        } else {
            Err(self.failure())
        }
    }

    /// Whether all three are where they were, and no sync has failed.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_lost() && self.0.named.iter().all(Named::is_there)
    }

    /// Why they are not whole: a failure for each who asks.
    pub(crate) fn failure(&self) -> Error {
        if self.is_lost() {
            Error::NotSynced
        } else {
            Error::Replaced
        }
    }

    /// A sync of the file has failed, and what it holds is not known any more.
    pub(crate) fn lose(&self) {
        self.0.lost.store(true, Ordering::Release);
    }

    /// Whether a sync of the file has failed.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }
}

impl Named {
    fn of(path: PathBuf) -> io::Result<Self> {
        let id = id(&path)?;
        Ok(Self { path, id })
    }

    fn is_there(&self) -> bool {
        id(&self.path).is_ok_and(|id| id == self.id)
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
