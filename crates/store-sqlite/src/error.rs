//! The errors of operations, and their conversion to [`StoreError`].

use std::{io, sync::Arc};

use keywright_core::store::{Reactivation, StoreError, StoreErrorKind};
use rusqlite::ErrorCode;

const BACKEND: &str = "sqlite";

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a failed operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite failed, or a column holds a value that the store never writes.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A column of a row holds a value that the store never writes.
    #[error("{id} cannot be read")]
    Row { id: String, source: rusqlite::Error },
    /// The import would make a revoked key active again.
    #[error(transparent)]
    Reactivation(#[from] Reactivation),
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An event could not be written as JSON.
    #[error("could not write the event as JSON")]
    Event(#[from] serde_json::Error),
    /// The contract rejects the operation.
    #[error("{0}")]
    Rejected(StoreErrorKind),
    /// The queue of the thread is full.
    #[error("too many operations are waiting")]
    QueueFull,
    /// The thread dropped the job without a result.
    #[error("the operation panicked or the store was dropped")]
    JobLost,
    /// SQLite rolled back the transaction because of another write in it.
    #[error("another write in the same transaction caused SQLite to roll it back")]
    RolledBack,
    /// The file or its log was removed or replaced.
    #[error(
        "the file or its log was removed or replaced: restart all programs that have the file open"
    )]
    Replaced,
    /// A sync of the file failed, and its latest pages may be lost.
    #[error(
        "the file could not be synced, and only its log is complete: restart all programs that have the file open"
    )]
    Unsynced,
    /// The backup was aborted, because the log had grown and cannot be restarted during a backup.
    #[error("the log grew to 1 GiB during the backup: make the backup while fewer keys change")]
    LogTooLong,
    /// The host has already ended its transaction, or has never begun it.
    #[error("the connection has no open transaction: begin one, and commit it after the change")]
    NoTransaction,
    /// The host's connection has another file, or none.
    #[error("the transaction is not in the file of the store: use a connection to that file")]
    OtherFile,
    /// A power loss could undo a commit of the host's connection.
    #[error(
        "a power loss could undo the transaction: set PRAGMA synchronous = FULL on the connection before it begins"
    )]
    NotSynchronous,
    /// A newer program has migrated the file.
    #[error(
        "a newer program has migrated the file to schema version {found}, but this one supports up to {supported}"
    )]
    NewerSchema { found: i64, supported: i64 },
}

impl Error {
    pub(crate) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Sqlite(error) | Self::Row { source: error, .. } if is_corrupt(error) => {
                StoreErrorKind::Corrupt
            }
            Self::Reactivation(_) => StoreErrorKind::Conflict,
            Self::Rejected(kind) => *kind,
            _ => StoreErrorKind::Unavailable,
        }
    }

    /// Returns the error for one of several callers whose operations failed together.
    pub(crate) fn to_shared(self: &Arc<Self>) -> StoreError {
        StoreError::new(self.kind(), BACKEND).with_source(Arc::clone(self))
    }
}

/// Returns SQLite's extended error code.
pub(crate) fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

/// Whether the error means that the file or a value in it is damaged.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType,
        ToSqlConversionFailure, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        // The only value that cannot be written is the version after the highest one.
        | ToSqlConversionFailure(..)
        | Utf8Error(..) => true,
        _ => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

impl From<StoreErrorKind> for Error {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Rejected(kind)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let store_error = Self::new(error.kind(), BACKEND);
        match error {
            Error::Rejected(_) => store_error,
            Error::Sqlite(source) => store_error.with_source(source),
            Error::Io(source) => store_error.with_source(source),
            Error::Reactivation(source) => store_error.with_source(source),
            other => store_error.with_source(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use rusqlite::ffi;

    use super::*;

    /// Returns the texts of all sources of this error.
    fn sources(error: &dyn std::error::Error) -> Vec<String> {
        iter::successors(error.source(), |error| error.source())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_shared_error_has_the_same_sources_as_the_error_of_one_caller() {
        let disk_full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let failures: [&dyn Fn() -> Error; 2] = [&|| disk_full().into(), &|| {
            io::Error::other(disk_full()).into()
        }];
        for failure in failures {
            let single = sources(&StoreError::from(failure()));
            assert!(single.len() > 1, "{single:?}");
            assert_eq!(sources(&Arc::new(failure()).to_shared()), single);
        }
    }
}
