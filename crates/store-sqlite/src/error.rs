//! What can go wrong, and which [`StoreError`] or [`OpenError`] it is.

use std::{error, fmt, io, path::PathBuf, sync::Arc};

use keywright_core::{StoreError, StoreErrorKind};
use rusqlite::ErrorCode;

const BACKEND: &str = "sqlite";

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not done.
#[derive(Debug)]
pub(crate) enum Error {
    /// SQLite failed, or what it holds could not be read back.
    Sqlite(rusqlite::Error),
    /// The operating system failed.
    Io(io::Error),
    /// The record is in another state than the operation needs; nothing has gone wrong.
    Refused(StoreErrorKind),
    /// As many jobs are waiting as may wait.
    QueueFull,
    /// The thread that had the job has lost it.
    Lost,
    /// SQLite has undone the transaction, because of another write in it.
    RolledBack,
    /// The file or its log was removed, or there is another one in its place.
    Replaced,
    /// What was written back into the file could not be synced, and may be lost.
    NotSynced,
    /// A newer program has migrated the file.
    NewerSchema { found: i64, known: i64 },
}

impl Error {
    pub(crate) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Sqlite(error) if is_corrupt(error) => StoreErrorKind::Corrupt,
            Self::Refused(kind) => *kind,
            _ => StoreErrorKind::Unavailable,
        }
    }

    /// The same for each of the callers that it has happened to.
    pub(crate) fn shared(self: &Arc<Self>) -> StoreError {
        StoreError::new(self.kind(), BACKEND).with_source(Arc::clone(self))
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        _ => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreErrorKind> for Error {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Refused(kind)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let outer = Self::new(error.kind(), BACKEND);
        match error {
            Error::Refused(_) => outer,
            Error::Sqlite(source) => outer.with_source(source),
            Error::Io(source) => outer.with_source(source),
            own => outer.with_source(own),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Refused(kind) => kind.fmt(f),
            Self::QueueFull => f.write_str("too many operations are waiting"),
            Self::Lost => f.write_str("the operation panicked or the store was dropped"),
            Self::RolledBack => f.write_str("another write in the transaction has undone it"),
            Self::Replaced => f.write_str(
                "the file or its log was removed or another one is in its place; restart all programs that have it open",
            ),
            Self::NotSynced => f.write_str(
                "the disk failed to keep what was written to the file; its log has it: restart all programs that have the file open",
            ),
            Self::NewerSchema { found, known } => write!(
                f,
                "the schema has version {found} since a newer program migrated it, and this one knows {known}"
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Sqlite(error) => error.source(),
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

/// Why a file could not be opened as a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The path is empty or `:memory:`.
    NoFile,
    /// The file does not exist and could not be created.
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file could not be opened or read.
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The file may not be written.
    NotWritable {
        /// The file.
        path: PathBuf,
    },
    /// The file system has no write-ahead log, for want of shared memory.
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
    },
    /// The file is no SQLite database, or a damaged one.
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is missing or empty, and yet there is its log, with `-wal` after its name. SQLite would
    /// throw the log away and begin anew.
    OnlyLog {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of another program. Not a byte of it was changed.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has migrated the file.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Others kept the file locked for longer than 5 seconds.
    Busy {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Others have the file open, and one of them or this one wants it for itself
    /// ([`Sharing::Exclusive`](crate::Sharing::Exclusive)).
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file has a second name, a hard link. By each name it would have another log and another
    /// lock, and what is revoked by one name would stay active by the other. Unix only.
    HardLinked {
        /// The file.
        path: PathBuf,
    },
    /// The SQLite that was linked is older than 3.51.3, and loses data when two connections
    /// checkpoint at once.
    OldSqlite {
        /// The version that was linked.
        version: &'static str,
    },
    /// The threads of the store could not be started.
    Threads(io::Error),
}

impl OpenError {
    pub(crate) fn sqlite(path: PathBuf, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { path, source }
            }
            Some(ErrorCode::ReadOnly) => Self::NotWritable { path },
            _ if is_corrupt(&source) => Self::NotADatabase { path, source },
            _ => Self::Open { path, source },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => {
                f.write_str("an empty path or :memory: names no file: give the path of one")
            }
            Self::Create { path, .. } => write!(
                f,
                "{} cannot be created: its directory must exist and be writable",
                path.display()
            ),
            Self::Open { path, .. } => write!(
                f,
                "{} cannot be opened: it must be a file that this user may read and write",
                path.display()
            ),
            Self::NotWritable { path } => write!(
                f,
                "{} cannot be written: this user must own it and its directory",
                path.display()
            ),
            Self::NoWriteAheadLog { path } => write!(
                f,
                "{} cannot have a write-ahead log: put it on a local file system",
                path.display()
            ),
            Self::NotADatabase { path, .. } => write!(
                f,
                "{} is no SQLite database or a damaged one: give another path or restore a backup",
                path.display()
            ),
            Self::OnlyLog { path } => write!(
                f,
                "{} is missing or empty and yet has a log: put the file back, or move the log (-wal) away to begin anew",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "{} is the database of another program: give another path",
                path.display()
            ),
            Self::NewerSchema { path, found, known } => write!(
                f,
                "{} has schema version {found} and this program knows {known}: use a newer program",
                path.display()
            ),
            Self::Busy { path, .. } => write!(
                f,
                "{} was locked for 5 seconds: try again, or end what locks it",
                path.display()
            ),
            Self::InUse { path } => write!(
                f,
                "{} is in use, and not to be shared: end the other program, or open both as shared",
                path.display()
            ),
            Self::HardLinked { path } => write!(
                f,
                "{} has another name by a hard link: remove one of the two, or link it with ln -s",
                path.display()
            ),
            Self::OldSqlite { version } => write!(
                f,
                "SQLite {version} is too old: build with the bundled one, or link 3.51.3 or later"
            ),
            Self::Threads(_) => {
                f.write_str("the threads of the store cannot be started: raise the user's limit")
            }
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Open { source, .. }
            | Self::NotADatabase { source, .. }
            | Self::Busy { source, .. } => Some(source),
            Self::Create { source, .. } | Self::Threads(source) => Some(source),
            Self::NoFile
            | Self::NotWritable { .. }
            | Self::NoWriteAheadLog { .. }
            | Self::OnlyLog { .. }
            | Self::Foreign { .. }
            | Self::NewerSchema { .. }
            | Self::InUse { .. }
            | Self::HardLinked { .. }
            | Self::OldSqlite { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use rusqlite::ffi;

    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn what_sqlite_says_is_told_as_what_is_wrong_with_the_file() {
        let told = |code| OpenError::sqlite("keys.db".into(), failure(code));
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED] {
            assert!(matches!(told(code), OpenError::Busy { .. }), "{code}");
        }
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_READONLY_DIRECTORY] {
            let error = told(code);
            assert!(matches!(error, OpenError::NotWritable { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            let error = told(code);
            assert!(matches!(error, OpenError::NotADatabase { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR] {
            assert!(matches!(told(code), OpenError::Open { .. }), "{code}");
        }
    }

    /// All the errors beneath this one, in their words.
    fn sources(error: &dyn error::Error) -> Vec<String> {
        iter::successors(error.source(), |error| error.source())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn callers_that_share_a_failure_are_told_all_that_one_alone_is_told() {
        let whys: [fn() -> Error; 2] = [
            || failure(ffi::SQLITE_FULL).into(),
            || io::Error::other(failure(ffi::SQLITE_FULL)).into(),
        ];
        for why in whys {
            let alone = sources(&StoreError::from(why()));
            assert!(alone.len() > 1, "{alone:?}");
            assert_eq!(sources(&Arc::new(why()).shared()), alone);
        }
    }
}
