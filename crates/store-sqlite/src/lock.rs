//! Sharing the file with other handles and processes.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::{
    file::{self, with_suffix},
    open_error::OpenError,
};

/// Whether others may open the file, and when the verifier of this handle applies a revocation, a
/// rotation or an update that was made through another handle.
///
/// A change through this handle takes effect at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller chooses one of exactly these three"
)]
pub enum Sharing {
    /// Other handles and processes may open the file. Their changes take effect within 100 ms. This
    /// is the default.
    #[default]
    Shared,
    /// Other handles and processes may open the file. Their changes take effect at once, since each
    /// verification reads the record.
    Strict,
    /// No other handle may open the file, in this process or another, including the command line.
    ///
    /// The store still checks the file, so that keys are rejected within 100 ms after the file or
    /// its log was removed or replaced.
    Exclusive,
}

/// A lock on the store, held until this is dropped.
///
/// It locks a separate file (`-lock`). Closing the store's file would drop SQLite's own locks.
#[derive(Debug)]
pub(crate) struct FileLock(#[expect(dead_code, reason = "the open file holds the lock")] File);

impl FileLock {
    pub(crate) fn acquire(path: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        let lock = with_suffix(path, "-lock");
        let lock_error = |source| OpenError::LockFile {
            path: lock.clone(),
            source,
        };
        let file = file::open_regular(&lock).map_err(lock_error)?;
        let locked = match sharing {
            Sharing::Shared | Sharing::Strict => file.try_lock_shared(),
            Sharing::Exclusive => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(lock_error(source)),
        }
    }
}
