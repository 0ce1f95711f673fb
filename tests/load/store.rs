//! Where the server under load keeps its keys.

use std::{path::Path, time::Duration};

use tempfile::TempDir;

use crate::redis::Redis;

/// A store, and the folder that the program runs in.
pub(crate) struct Store {
    pub(crate) url: String,
    /// How long after a revocation by another process the key may still be accepted.
    pub(crate) bound: Duration,
    // It ends before its folder does.
    _redis: Option<Redis>,
    folder: TempDir,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        Self {
            url: "sqlite:keys.db".into(),
            bound: Duration::from_millis(100),
            _redis: None,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A `redis-server` of its own. It never syncs: what is measured is not the disk, for which one that
    /// syncs each second would stand still where others keep it busy.
    pub(crate) fn redis() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(
            folder.path(),
            &["--appendonly", "yes", "--appendfsync", "no"],
        );
        Self {
            url: redis.url.clone(),
            bound: Duration::from_secs(1),
            _redis: Some(redis),
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
