//! The store of the server under load.

use std::{path::Path, time::Duration};

use tempfile::TempDir;

use crate::redis::Redis;

/// A store, and the folder that the program runs in.
pub(crate) struct Store {
    pub(crate) url: String,
    /// How long after a revocation by another process a key may still be accepted.
    pub(crate) staleness_bound: Duration,
    // Dropped before its folder.
    _redis: Option<Redis>,
    folder: TempDir,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        Self {
            url: "sqlite:keys.db".into(),
            staleness_bound: Duration::from_millis(100),
            _redis: None,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a separate `redis-server` that never syncs: with a sync each second it would stop
    /// while other tests keep the disk busy.
    pub(crate) fn redis() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(
            folder.path(),
            &["--appendonly", "yes", "--appendfsync", "no"],
        );
        Self {
            url: redis.url.clone(),
            staleness_bound: Duration::from_secs(1),
            _redis: Some(redis),
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
