//! Heartbeats: commits that prove that a synchronous standby still follows this primary.

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

/// Begins a transaction that writes to the log of the server and to nothing else. Its commit waits
/// for a standby. A time limit of statements, which the role may have, does not end this wait.
const BEGIN_HEARTBEAT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'keywright', '')";

/// Reads rows in the transaction of a heartbeat. If this succeeds, a standby has confirmed after
/// the read that it still follows the server that returned the rows.
///
/// All of it is one message, and one transaction: a pooler may send each transaction to another
/// server.
pub(crate) async fn confirmed(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let sql = format!("{BEGIN_HEARTBEAT}; {sql}; COMMIT");
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    if rows.is_empty() {
        return Err(sqlx::Error::RowNotFound);
    }
    // The row of the heartbeat.
    rows.remove(0);
    Ok(rows)
}
