//! Writes inside a transaction that are done together or not at all.

use rusqlite::Connection;

use crate::error::Result;

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

/// Executes a statement without parameters.
pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute(())?;
    Ok(())
}
