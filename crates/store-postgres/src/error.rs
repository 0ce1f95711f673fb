//! The errors of operations, and their conversion to [`StoreError`].

use std::{error, fmt, sync::Arc};

use keywright_core::store::{Reactivation, StoreError, StoreErrorKind};

const BACKEND: &str = "postgres";

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a failed operation. Clones share the driver's error, because the callers of a batch
/// share a failure. No error has the driver's error as its source, because that prints the details
/// that the server adds, such as a row with its hash.
#[derive(Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The driver or the server failed.
    #[error("{0}")]
    Sql(Arc<sqlx::Error>),
    /// The contract rejects the operation.
    #[error("{0}")]
    Rejected(StoreErrorKind),
    /// The import would make a revoked key active again.
    #[error(transparent)]
    Reactivation(#[from] Reactivation),
    /// A row contains a value that the store never writes.
    #[error("{0}")]
    Corrupt(Arc<dyn error::Error + Send + Sync>),
    /// The queue is full.
    #[error("too many operations are waiting")]
    QueueFull,
    /// The server did not respond in time.
    #[error("PostgreSQL did not respond in time")]
    Timeout,
    /// Another transaction has locked a record.
    #[error("another transaction has locked the record")]
    Locked,
    /// The connection of the host is not inside a suitable transaction.
    #[error("the connection must be in a transaction with the isolation level READ COMMITTED")]
    HostTransaction,
    /// The runtime of the host has ended, or the store was dropped.
    #[error("the async runtime has stopped or the store was dropped")]
    Stopped,
    /// The server has become a read-only replica.
    #[error("the server is a read-only replica")]
    ReadOnly,
    /// The host has changed the options of its pool.
    #[error("the pool connects with other options")]
    OtherServer,
    /// The connection leads to another database, or its tables were replaced.
    #[error("the connection leads to another database than that of the store")]
    OtherStore,
    /// Another program has migrated the tables.
    #[error("another program has migrated the tables to a version that this one does not support")]
    OtherSchema(Option<Arc<sqlx::Error>>),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    pub(crate) fn corrupt(reason: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::Corrupt(Arc::from(reason.into()))
    }

    fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Rejected(kind) => *kind,
            Self::Corrupt(_) => StoreErrorKind::Corrupt,
            Self::Reactivation(_) => StoreErrorKind::Conflict,
            Self::Sql(error) => match &**error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                    StoreErrorKind::Corrupt
                }
                _ => StoreErrorKind::Unavailable,
            },
            _ => StoreErrorKind::Unavailable,
        }
    }

    /// Whether one of several changes may have made their transaction fail.
    pub(crate) fn may_be_of_one_change(&self) -> bool {
        match self {
            Self::Locked | Self::Corrupt(_) => true,
            Self::Sql(error) => error.as_database_error().is_some(),
            _ => false,
        }
    }

    /// Whether the transaction failed because of another one, so that it can be repeated.
    pub(crate) fn is_conflict(&self) -> bool {
        // Serialization failure, deadlock, and a row that another transaction has just inserted.
        const CODES: [&str; 3] = ["40001", "40P01", "23505"];
        let Self::Sql(error) = self else {
            return false;
        };
        error
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| CODES.contains(&&*code))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            // Only the check of the version divides by zero, or computes a square root.
            Some("22012") => Self::OtherSchema(Some(Arc::new(error))),
            Some("2201F") => Self::Rejected(StoreErrorKind::Moved),
            // Only the check of the store computes a logarithm.
            Some("2201E") => Self::OtherStore,
            // A lock was not available within `lock_timeout`.
            Some("55P03") => Self::Locked,
            _ => Self::Sql(Arc::new(error)),
        }
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
            Error::Corrupt(source) => store_error.with_source(source),
            Error::Reactivation(source) => store_error.with_source(source),
            other => store_error.with_source(other),
        }
    }
}
