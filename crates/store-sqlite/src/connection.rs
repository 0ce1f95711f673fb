//! Opening and configuring connections.

use std::{path::Path, time::Duration};

use keywright_core::store::fold_case;
use rusqlite::{
    Connection, Error, OpenFlags, Result, config::DbConfig, ffi, functions::FunctionFlags,
};

/// How long a connection waits for a lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The capacity of a connection's cache of prepared statements. It exceeds the number of
/// statements: lists alone have 84.
const CACHED_STATEMENTS: usize = 128;

/// Settings that are not stored in the file. `journal_size_limit` lets the log shrink again after a
/// long read, such as a backup, has made it grow. The foreign keys of a host do not apply to the
/// store's own changes, so that a row that refers to a key does not prevent its purge.
///
/// A connection caches up to 16 MiB of pages. In a file of 2,000,000 keys, finding a key reads 1.9
/// pages from the file then, and 2.8 with SQLite's default of 2 MB. Mapping the file into memory
/// would read none, but an I/O error would then end the process, and anyone can ask for any id.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA foreign_keys = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
";

/// Opens an existing file.
///
/// Until [`configure`] the connection changes nothing: it does not even checkpoint when it is
/// closed.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    // If the host enables the shared cache, a read would wait for its uncommitted changes.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    disable_checkpoint_on_close(&connection)?;
    Ok(connection)
}

/// Configures a connection to a file that is known to be a store.
pub(crate) fn configure(connection: &Connection) -> Result<()> {
    // The store has no triggers and no views. Disabling them protects against planted ones. The
    // triggers of a host run only on its own connections.
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(config, value)?;
    }
    connection.execute_batch(SETTINGS)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    define_fold(connection)
}

/// Leaves the log as it is when the connection is closed, even if it is the last connection.
pub(crate) fn disable_checkpoint_on_close(connection: &Connection) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Opens a connection for reading a store.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = open(path)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Defines the SQL function `fold(text)` as [`fold_case`].
fn define_fold(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("fold", 1, flags, |context| {
        let text = context.get_raw(0).as_str();
        // A search must report a name that is not text, rather than skip it as a mismatch.
        text.map(fold_case)
            .map_err(|_| Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None))
    })
}
