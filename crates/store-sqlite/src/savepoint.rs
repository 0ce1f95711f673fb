//! Writes inside a transaction that are done together or not at all.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// Runs several writes inside a transaction. If `work` fails, its writes are undone, and those of
/// other jobs in the transaction remain.
pub(crate) fn atomic<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    execute(connection, "SAVEPOINT job")?;
    let result = work();
    // After some failures SQLite has already rolled back the whole transaction.
    if result.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK TO job").or_else(|_| execute(connection, "ROLLBACK"))?;
    }
    if !connection.is_autocommit() {
        execute(connection, "RELEASE job")?;
    }
    result
}

/// Runs several writes inside a transaction, the first of which is the only one that can be
/// rejected. If another failure leaves them half done, the whole transaction is rolled back, with
/// the writes of other jobs. SQLite does the same after an I/O error or on a full disk.
///
/// Unlike [`atomic`], it costs nothing as long as the writes succeed. After a savepoint, SQLite
/// copies each page before it changes it, which takes two fifths of the instructions of an insert
/// with its event.
pub(crate) fn or_roll_back<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let result = work();
    if let Err(error) = &result
        && !matches!(error, Error::Rejected(_))
        && !connection.is_autocommit()
    {
        execute(connection, "ROLLBACK")?;
    }
    result
}

/// Executes a statement without parameters.
pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute(())?;
    Ok(())
}
