//! Opening a file as a store: whose it is, the write-ahead log, and the newest schema.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::{self, Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::{
    connection::{self, BUSY_TIMEOUT},
    error::OpenError,
    file,
    lock::{Lock, Sharing},
    schema::{self, Identity},
};

/// The first SQLite without a bug of the write-ahead log that corrupts the file when two
/// connections checkpoint or restart it at once (<https://sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: i32 = 3_051_003;

/// How often the file is tried to be switched to its write-ahead log, and the longest pause between.
const SWITCH_ATTEMPTS: u32 = 200;
const SWITCH_PAUSE: Duration = Duration::from_millis(50);

/// A file that is a store.
pub(crate) struct Opened {
    /// Where it is, through all symbolic links.
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) lock: Lock,
}

/// Opens the file for writing, and makes it a store if it is new or empty.
pub(crate) fn open(path: &Path, sharing: Sharing) -> Result<Opened, OpenError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(OpenError::NoFile);
    }
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite {
            version: rusqlite::version(),
        });
    }
    let failed = |source| OpenError::Create {
        path: path.into(),
        source,
    };
    let absolute = path::absolute(path).map_err(failed)?;
    if file::is_lost(&absolute).map_err(failed)? {
        return Err(OpenError::OnlyLog { path: absolute });
    }
    let path = create(&absolute).map_err(failed)?;
    if file::has_hard_links(&path).map_err(failed)? {
        return Err(OpenError::HardLinked { path });
    }
    let (writer, lock) = Opening {
        path: &path,
        sharing,
    }
    .run()?;
    Ok(Opened { path, writer, lock })
}

/// Creates the file unless there is one. The path is absolute, since SQLite takes one that begins
/// with `file:` for a URI; what it becomes has no symbolic link in it, since the lock must be the same
/// for all.
fn create(path: &Path) -> io::Result<PathBuf> {
    file::create_if_missing(path)?;
    path.canonicalize()
}

struct Opening<'a> {
    path: &'a Path,
    sharing: Sharing,
}

impl Opening<'_> {
    fn run(&self) -> Result<(Connection, Lock), OpenError> {
        let connection = self.sqlite(connection::open(self.path))?;
        let version = self.version(&connection, TransactionBehavior::Deferred)?.0;
        if self.sqlite(connection.is_readonly("main"))? {
            return Err(OpenError::NotWritable {
                path: self.path.into(),
            });
        }
        // Only now, since nothing is put beside what is not ours; and whoever is refused has changed
        // nothing.
        let lock = Lock::take(self.path, self.sharing)?;
        self.sqlite(connection::configure(&connection))?;
        if !self.sqlite(switch_to_wal(&connection))? {
            return Err(OpenError::NoWriteAheadLog {
                path: self.path.into(),
            });
        }
        if version < schema::VERSION {
            // Another process may have been faster, hence the second look inside the transaction.
            let (version, transaction) =
                self.version(&connection, TransactionBehavior::Immediate)?;
            self.sqlite(schema::migrate(&connection, version))?;
            self.sqlite(transaction.commit())?;
        }
        Ok((connection, lock))
    }

    /// The version of the schema, 0 for an empty file, and the transaction in which it has it.
    fn version<'a>(
        &self,
        connection: &'a Connection,
        behavior: TransactionBehavior,
    ) -> Result<(i64, Transaction<'a>), OpenError> {
        let transaction = self.sqlite(Transaction::new_unchecked(connection, behavior))?;
        let path = || self.path.into();
        match self.sqlite(schema::identify(connection))? {
            Identity::Empty => Ok((0, transaction)),
            Identity::Store { version } if version <= schema::VERSION => Ok((version, transaction)),
            Identity::Store { version } => Err(OpenError::NewerSchema {
                path: path(),
                found: version,
                known: schema::VERSION,
            }),
            Identity::Foreign => Err(OpenError::Foreign { path: path() }),
        }
    }

    fn sqlite<T>(&self, outcome: rusqlite::Result<T>) -> Result<T, OpenError> {
        outcome.map_err(|source| OpenError::sqlite(self.path.into(), source))
    }
}

/// Whether the file has a write-ahead log now. That is kept in the file and switched once.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<bool> {
    // SQLite does not always wait for the lock that this needs, so the waiting is done here.
    connection.busy_timeout(Duration::ZERO)?;
    let mut switched = try_switch_to_wal(connection);
    for _ in 1..SWITCH_ATTEMPTS {
        match switched {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                thread::sleep(random_part_of(SWITCH_PAUSE));
                switched = try_switch_to_wal(connection);
            }
            _ => break,
        }
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    switched
}

/// Two that try at once must not try again at once, and again, until both give up.
fn random_part_of(pause: Duration) -> Duration {
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    pause.mul_f64(f64::from(random) / 255.0)
}

fn try_switch_to_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| {
        Ok(row.get_ref(0)?.as_str()? == "wal")
    })
}
