//! How a connection to the file is set up.

use std::{path::Path, time::Duration};

use keywright_core::fold_case;
use rusqlite::{
    Connection, Error, OpenFlags, Result, config::DbConfig, ffi, functions::FunctionFlags,
};

/// How long a connection waits for a lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than the statements that there are: the lists alone have 48.
const CACHED_STATEMENTS: usize = 96;

/// What a connection does not find in the file. The limit lets the log shrink again after a long
/// read, such as a backup, has made it grow.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
";

/// Opens an existing file. Until [`configure`] it is left as it is: not even its log is written
/// back when the connection is closed.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_log(&connection)?;
    Ok(connection)
}

/// Sets up a connection to a file that is known to be a store.
pub(crate) fn configure(connection: &Connection) -> Result<()> {
    // The schema has no triggers and no views, so whoever planted one gets nothing from it.
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

/// Leaves the log as it is when the connection is closed.
pub(crate) fn keep_log(connection: &Connection) -> Result<()> {
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

/// `fold(text)` in SQL is [`fold_case`].
fn define_fold(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("fold", 1, flags, |context| {
        let text = context.get_raw(0).as_str();
        // A name that is no text must not be passed over as one that was not searched for.
        text.map(fold_case)
            .map_err(|_| Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None))
    })
}
