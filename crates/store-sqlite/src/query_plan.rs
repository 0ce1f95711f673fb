//! How SQLite runs a statement, for tests.

use rusqlite::Connection;

/// Returns the steps of a statement, one on each line.
///
/// Older versions of SQLite also report the filters that they build for a subquery, which this
/// leaves out.
pub(crate) fn plan(connection: &Connection, sql: &str) -> String {
    connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap()
        .raw_query()
        .mapped(|row| row.get("detail"))
        .filter(|step| step.as_deref() != Ok("CREATE BLOOM FILTER"))
        .collect::<rusqlite::Result<Vec<String>>>()
        .unwrap()
        .join("\n")
}
