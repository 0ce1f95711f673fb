//! The errors of opening a file as a store.

use std::{io, path::PathBuf};

use rusqlite::ErrorCode;

use crate::error::is_corrupt;

/// An error from [`SqliteStore::open`](crate::SqliteStore::open).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path is empty or `:memory:`.
    #[error("an empty path or :memory: is not a file: give the path of a file")]
    NoFile,
    /// The file does not exist. The store does not create the
    /// [database of the host](crate::SqliteConfig::in_existing_database).
    #[error("{path} does not exist: create the database before you open a store in it")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file does not exist and could not be created.
    #[error("{path} could not be created: its directory must exist and be writable")]
    Create {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file could not be opened or read.
    #[error("{path} could not be opened: it must be a file that this user can read and write")]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is read-only.
    #[error("{path} is read-only: this user must be able to write to it and its directory")]
    NotWritable {
        /// The file.
        path: PathBuf,
    },
    /// The file system does not support a write-ahead log, because it has no shared memory.
    #[error("{path} cannot have a write-ahead log: put it on a local file system")]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a SQLite database, or is damaged.
    #[error("{path} is not a SQLite database or is damaged: give another path or restore a backup")]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is missing or empty, but its log (`-wal`) exists. SQLite would delete the log and
    /// create an empty database.
    #[error(
        "{path} is missing or empty, but its log exists: put the file back, or move the log (-wal) away to create a new store"
    )]
    OnlyLog {
        /// The file.
        path: PathBuf,
    },
    /// According to its header, the file has a log, but neither the file nor a log next to it has a
    /// schema. It is a copy that was made without the log (`-wal`), not a new store.
    #[error(
        "{path} looks like a copy without its -wal file: copy the -wal file too, or restore a backup"
    )]
    WithoutLog {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of another program. It was not changed. To create a store in
    /// it, open it with [`in_existing_database`](crate::SqliteConfig::in_existing_database).
    #[error("{path} is the database of another program: give another path")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database of the host has tables with names of the store, `keywright_…`, which no version
    /// of this crate has created. It was not changed.
    #[error("{path} has tables named keywright_… of another program: rename them")]
    NamesTaken {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has migrated the file.
    #[error(
        "{path} has schema version {found}, but this program supports up to {supported}: use a newer program"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version of the file's schema.
        found: i64,
        /// The newest version that this program supports.
        supported: i64,
    },
    /// Another connection kept the file locked for more than 5 seconds.
    #[error("{path} was locked for 5 seconds: try again, or end the program that locks it")]
    Busy {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The lock file (`-lock`) next to the file could not be created, opened or locked. The store
    /// does not follow a symbolic link.
    #[error("{path} could not be locked: it must be a regular file that this user can write to")]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is already open, and this handle or the other one is
    /// [`Sharing::Exclusive`](crate::Sharing::Exclusive).
    #[error("{path} is in use and not shared: close the other program, or open both as shared")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file has a second name, a hard link. Each name would have its own log and its own lock,
    /// and a key that is revoked under one name would stay active under the other. Unix only.
    #[error("{path} has a second name, a hard link: remove one of them, or use a symbolic link")]
    HardLinked {
        /// The file.
        path: PathBuf,
    },
    /// The linked SQLite is older than 3.51.3. Older versions lose data when two connections
    /// checkpoint at the same time.
    #[error("SQLite {version} is too old: use the bundled SQLite, or link 3.51.3 or later")]
    OldSqlite {
        /// The version of the linked SQLite.
        version: &'static str,
    },
    /// The threads of the store could not be started.
    #[error("could not start the threads of the store: raise this user's limit")]
    Threads(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn from_sqlite(path: PathBuf, source: rusqlite::Error) -> Self {
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

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_sqlite_error_becomes_the_matching_open_error() {
        let open_error = |code| {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::from_sqlite("keys.db".into(), failure)
        };
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED] {
            let error = open_error(code);
            assert!(matches!(error, OpenError::Busy { .. }), "{code}");
        }
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_READONLY_DIRECTORY] {
            let error = open_error(code);
            assert!(matches!(error, OpenError::NotWritable { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            let error = open_error(code);
            assert!(matches!(error, OpenError::NotADatabase { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR] {
            let error = open_error(code);
            assert!(matches!(error, OpenError::Open { .. }), "{code}");
        }
    }
}
