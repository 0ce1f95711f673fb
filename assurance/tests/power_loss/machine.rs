//! A machine with a simulated disk, and a store on it.

use std::{fs, path::PathBuf, sync::Arc};

use keywright_store_sqlite::{OpenError, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    disk::{Disk, Image},
    vfs::Mount,
};

/// A running machine. Its fields are dropped in order, so that the folder outlives the mount.
pub(crate) struct Machine {
    pub(crate) disk: Arc<Disk>,
    _mount: Mount,
    folder: TempDir,
}

impl Machine {
    /// Starts a machine with these files on its disk.
    pub(crate) fn boot(seed: u64, image: &Image) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in image {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let disk = Arc::new(Disk::new(seed, image));
        let mount = Mount::new(&folder.path().canonicalize().unwrap(), &disk);
        Self {
            disk,
            _mount: mount,
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(self.path("keys.db"))
    }

    /// Opens a connection, as another program does.
    pub(crate) fn sqlite(&self) -> rusqlite::Result<Connection> {
        Connection::open(self.path("keys.db"))
    }

    /// Cuts the power, unless it is already cut, and starts a machine with the files that are left.
    /// These include the index of the log (`-shm`) as it is: it is never synced, so it may contain
    /// anything.
    pub(crate) fn cut(self, seed: u64) -> Self {
        self.disk.cut_now();
        let mut image = self.disk.image_after_cut();
        if let Ok(index) = fs::read(self.path("keys.db-shm")) {
            image.insert("keys.db-shm".into(), index);
        }
        Self::boot(seed, &image)
    }
}
