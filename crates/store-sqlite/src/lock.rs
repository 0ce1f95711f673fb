//! Who else may have the file open.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::{error::OpenError, file::beside};

/// Who else may change the file while it is open, and by when a verifier over this handle refuses a
/// key that they have revoked. What is revoked over this handle is refused at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "who opens a file chooses one of these three"
)]
pub enum Sharing {
    /// Other handles and processes; within 100 ms. It is the default.
    #[default]
    Shared,
    /// The same; at once: each verification reads the record.
    Strict,
    /// Nobody: a second handle is refused, here and in other processes, the command line included.
    /// The file is asked all the same, so that keys are refused within 100 ms once it or its log is
    /// removed or another one is put in its place.
    Exclusive,
}

/// A lock on the file beside the store, as long as this lives. It is not on the file itself, since
/// closing that would give up SQLite's own locks.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is the open file that holds it")] File);

impl Lock {
    pub(crate) fn take(path: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Create {
            path: path.into(),
            source,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(beside(path, "-lock")).map_err(failed)?;
        let locked = match sharing {
            Sharing::Shared | Sharing::Strict => file.try_lock_shared(),
            Sharing::Exclusive => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
