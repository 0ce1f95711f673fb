//! The token prefix that the store was claimed for, and whether the store has keys.

use async_trait::async_trait;
use keywright_core::{Prefix, store::Stage};
use sqlx::PgConnection;

use crate::{
    database::{Access, Operation},
    error::{Error, Result},
    statements::Statements,
};

/// Returns the prefix that the store was claimed for.
#[derive(Debug)]
pub(crate) struct FindPrefix;

#[async_trait]
impl Operation for FindPrefix {
    type Output = Option<Prefix>;

    fn access(&self) -> Access {
        Access::Read
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Option<Prefix>>> {
        find(connection, statements).await.map(Some)
    }
}

async fn find(connection: &mut PgConnection, statements: &Statements) -> Result<Option<Prefix>> {
    let sql = "SELECT value FROM {schema}.settings WHERE name = 'prefix'";
    let found: Option<String> = sqlx::query_scalar(statements.sql(sql))
        .persistent(false)
        .fetch_optional(connection)
        .await?;
    let prefix = found.map(|claim| Stage::claimed_prefix(&claim));
    Ok(prefix.transpose()?)
}

/// Claims the store for a prefix, and returns the one that holds the claim.
#[derive(Debug)]
pub(crate) struct ClaimPrefix(pub(crate) Prefix);

#[async_trait]
impl Operation for ClaimPrefix {
    type Output = Prefix;

    fn access(&self) -> Access {
        Access::Write
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Prefix>> {
        let sql = "INSERT INTO {schema}.settings (name, value) VALUES ('prefix', $1) \
             ON CONFLICT (name) DO NOTHING";
        sqlx::query(statements.sql(sql))
            .bind(self.0.to_string())
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        let claimed = find(connection, statements).await?;
        let claimed = claimed.ok_or_else(|| Error::corrupt("the claim of the prefix is missing"));
        claimed.map(Some)
    }
}

/// Returns whether the store has no key.
#[derive(Debug)]
pub(crate) struct IsEmpty;

#[async_trait]
impl Operation for IsEmpty {
    type Output = bool;

    fn access(&self) -> Access {
        Access::Read
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<bool>> {
        let sql = "SELECT NOT EXISTS (SELECT FROM {schema}.keys)";
        let is_empty = sqlx::query_scalar(statements.sql(sql))
            .persistent(false)
            .fetch_one(connection)
            .await?;
        Ok(Some(is_empty))
    }
}
