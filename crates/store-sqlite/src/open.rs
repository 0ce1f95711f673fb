//! Opening a file as a store: identifying it, locking it, and migrating its schema.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::{self, Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, Row, Transaction, TransactionBehavior};

use crate::{
    checkpoint,
    config::SqliteConfig,
    connection::{self, BUSY_TIMEOUT},
    file,
    lock::FileLock,
    open_error::OpenError,
    schema::{self, Identity},
};

/// The oldest supported SQLite, 3.51.3. Before it, the file can be corrupted if two connections
/// checkpoint or restart the log at the same time (<https://sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: i32 = 3_051_003;

/// The maximum number of attempts to switch to a write-ahead log.
const SWITCH_ATTEMPTS: u32 = 200;

/// The maximum pause between two attempts.
const SWITCH_PAUSE: Duration = Duration::from_millis(50);

/// A file that was opened as a store.
pub(crate) struct Opened {
    /// The path of the file, with all symbolic links resolved.
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) lock: FileLock,
}

/// Opens the file for writing. A new or empty file becomes a store.
pub(crate) fn open(path: &Path, config: SqliteConfig) -> Result<Opened, OpenError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(OpenError::NoFile);
    }
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite {
            version: rusqlite::version(),
        });
    }
    let create_error = |source| OpenError::Create {
        path: path.into(),
        source,
    };
    let absolute = path::absolute(path).map_err(create_error)?;
    if file::has_only_log(&absolute).map_err(create_error)? {
        return Err(OpenError::OnlyLog { path: absolute });
    }
    if config.is_in_existing_database() && !absolute.try_exists().map_err(create_error)? {
        return Err(OpenError::Missing { path: absolute });
    }
    let path = create(&absolute).map_err(create_error)?;
    if file::has_hard_links(&path).map_err(create_error)? {
        return Err(OpenError::HardLinked { path });
    }
    let (writer, lock) = open_store(&path, config)?;
    Ok(Opened { path, writer, lock })
}

/// Creates the file if it does not exist, and returns its path with all symbolic links resolved, so
/// that each of its paths leads to the same lock.
///
/// The path is absolute: SQLite treats a relative path that begins with `file:` as a URI.
fn create(path: &Path) -> io::Result<PathBuf> {
    file::create_if_missing(path)?;
    path.canonicalize()
}

/// Opens a file that exists.
fn open_store(path: &Path, config: SqliteConfig) -> Result<(Connection, FileLock), OpenError> {
    let sqlite_error = |source| OpenError::from_sqlite(path.into(), source);
    let connection = connection::open(path).map_err(sqlite_error)?;
    let (_, version) = begin(path, &connection, config, TransactionBehavior::Deferred)?;
    if connection.is_readonly("main").map_err(sqlite_error)? {
        return Err(OpenError::NotWritable { path: path.into() });
    }
    // The lock is acquired once the file is known to be a store, so that no lock file appears next
    // to another program's file, and before anything is changed.
    let lock = FileLock::acquire(path, config.sharing())?;
    connection::configure(&connection).map_err(sqlite_error)?;
    if version < schema::VERSION {
        // Another process may have migrated the file by now.
        let (transaction, version) =
            begin(path, &connection, config, TransactionBehavior::Immediate)?;
        schema::migrate(&connection, version).map_err(sqlite_error)?;
        transaction.commit().map_err(sqlite_error)?;
    }
    // A new file gets its schema before its log, so that even a copy without the log has a schema.
    let pause = || thread::sleep(random_part_of(SWITCH_PAUSE));
    if !switch_to_wal(&connection, pause).map_err(sqlite_error)? {
        return Err(OpenError::NoWriteAheadLog { path: path.into() });
    }
    if version < schema::VERSION {
        // The database of a host may have had a log before it got the schema.
        checkpoint::copy_log(&connection).map_err(sqlite_error)?;
    }
    Ok((connection, lock))
}

/// Begins a transaction, and returns it with the version of the schema, 0 for a file without a
/// store.
fn begin<'a>(
    path: &Path,
    connection: &'a Connection,
    config: SqliteConfig,
    behavior: TransactionBehavior,
) -> Result<(Transaction<'a>, i64), OpenError> {
    let sqlite_error = |source| OpenError::from_sqlite(path.into(), source);
    let transaction = Transaction::new_unchecked(connection, behavior).map_err(sqlite_error)?;
    let has_schema = match schema::identify(connection).map_err(sqlite_error)? {
        Identity::Store { version } if version <= schema::VERSION => {
            return Ok((transaction, version));
        }
        Identity::Store { version } => {
            return Err(OpenError::NewerSchema {
                path: path.into(),
                found: version,
                supported: schema::VERSION,
            });
        }
        Identity::Foreign { .. } if !config.is_in_existing_database() => {
            return Err(OpenError::Foreign { path: path.into() });
        }
        Identity::Foreign {
            takes_names: true, ..
        } => return Err(OpenError::NamesTaken { path: path.into() }),
        Identity::Foreign { has_schema, .. } => has_schema,
        Identity::Empty => false,
    };
    // This program never leaves such a file. The schema was only in a log that is missing now.
    if !has_schema && has_log_mode(connection).map_err(sqlite_error)? {
        return Err(OpenError::WithoutLog { path: path.into() });
    }
    Ok((transaction, 0))
}

/// Whether the file's header says that it has a write-ahead log.
fn has_log_mode(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_query_value(None, "journal_mode", is_wal)
}

/// Switches the file to a write-ahead log, and returns whether it has one now. The switch is stored
/// in the file.
///
/// SQLite does not always wait for the lock that this needs, so this calls `pause` and tries again.
fn switch_to_wal(connection: &Connection, mut pause: impl FnMut()) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let mut switched = try_switch_to_wal(connection);
    for _ in 1..SWITCH_ATTEMPTS {
        match switched {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                pause();
                switched = try_switch_to_wal(connection);
            }
            _ => break,
        }
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    switched
}

/// Returns a random part of a pause, so that two processes do not keep trying at the same times.
fn random_part_of(pause: Duration) -> Duration {
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    pause.mul_f64(f64::from(random) / 255.0)
}

fn try_switch_to_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", is_wal)
}

fn is_wal(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get_ref(0)?.as_str()? == "wal")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a connection to a new file, and a connection of another program that reads the file.
    fn connection_and_reader(path: &Path) -> (Connection, Connection) {
        file::create_if_missing(path).unwrap();
        let connection = connection::open(path).unwrap();
        let reader = Connection::open(path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            .unwrap();
        (connection, reader)
    }

    /// SQLite itself waits for no reader when a file is switched to a write-ahead log.
    #[test]
    fn the_switch_to_a_log_waits_for_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let (connection, reader) = connection_and_reader(&folder.path().join("keys.db"));
        let mut pauses = 0;
        let switched = switch_to_wal(&connection, || {
            pauses += 1;
            if pauses == 3 {
                reader.execute_batch("COMMIT").unwrap();
            }
        });
        assert_eq!(switched, Ok(true));
        assert_eq!(pauses, 3);
    }

    #[test]
    fn the_switch_to_a_log_gives_up_if_a_reader_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (connection, _reader) = connection_and_reader(&folder.path().join("keys.db"));
        let error = switch_to_wal(&connection, || ()).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    }
}
