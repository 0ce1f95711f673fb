//! The token prefix that the store was claimed for, whether the store has keys, and whether a
//! connection leads to it.

use keywright_core::{Prefix, store::Stage};
use sqlx::PgConnection;

use crate::{
    error::{Error, Result},
    statements::Statements,
};

/// Returns the prefix that the store was claimed for.
pub(crate) async fn prefix(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<Option<Prefix>> {
    let sql = "SELECT value FROM {schema}.settings WHERE name = 'prefix'";
    let found: Option<String> = sqlx::query_scalar(statements.sql(sql))
        .persistent(false)
        .fetch_optional(connection)
        .await?;
    let prefix = found.map(|claim| Stage::claimed_prefix(&claim));
    Ok(prefix.transpose()?)
}

/// Claims the store for a prefix, and returns the one that holds the claim.
pub(crate) async fn claim_prefix(
    connection: &mut PgConnection,
    statements: &Statements,
    wanted: &Prefix,
) -> Result<Prefix> {
    let sql = "INSERT INTO {schema}.settings (name, value) VALUES ('prefix', $1) \
         ON CONFLICT (name) DO NOTHING";
    sqlx::query(statements.sql(sql))
        .bind(wanted.to_string())
        .persistent(false)
        .execute(&mut *connection)
        .await?;
    let claimed = prefix(connection, statements).await?;
    claimed.ok_or_else(|| Error::corrupt("the claim of the prefix is missing"))
}

/// Returns whether the store has no key.
pub(crate) async fn is_empty(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT FROM {schema}.keys)";
    let is_empty = sqlx::query_scalar(statements.sql(sql))
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok(is_empty)
}

/// Checks that the connection leads to the store.
pub(crate) async fn check_store(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<()> {
    let sql = format!("SELECT {}", statements.is_this_store);
    let is_this_store = sqlx::query_scalar(statements.sql(&sql))
        .persistent(false)
        .fetch_one(connection)
        .await?;
    if is_this_store {
        Ok(())
    } else {
        Err(Error::OtherStore)
    }
}
