//! Listing the keys of a workspace.

use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Status, Timestamp, Workspace,
    store::fold_case,
};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::{
    error::Result,
    record::{self, COLUMNS, id_text},
    statements::Statements,
};

/// A list of the keys of a workspace that a caller sees.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) workspace: Workspace,
    pub(crate) environment: Environment,
    pub(crate) list: ListKeys<KeyId>,
    pub(crate) now: Timestamp,
}

impl Listing {
    /// Reads the page.
    pub(crate) async fn read(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Page<KeyId>> {
        let total = match self.list.start {
            ListStart::Offset(_) => Some(self.count(connection, statements).await?),
            ListStart::After(_) => None,
        };
        let mut query = self.select(statements, COLUMNS);
        let offset = match self.list.start {
            ListStart::Offset(offset) => offset,
            ListStart::After(last) => {
                query.push(" AND id < ").push_bind(id_text(&last));
                0
            }
        };
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(self.list.limit) + 1)
            .push(" OFFSET ")
            .push_bind(i64::try_from(offset).unwrap_or(i64::MAX));
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(connection)
            .await?;
        let keys = rows.iter().map(record::key);
        let keys = keys.collect::<Result<Vec<Key>>>()?;
        Ok(Page::cut(keys, self.list.limit, total))
    }

    async fn count(&self, connection: &mut PgConnection, statements: &Statements) -> Result<u64> {
        let count: i64 = self
            .select(statements, "count(*)")
            .build_query_scalar()
            .persistent(false)
            .fetch_one(connection)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Selects the keys that match the filter.
    fn select(&self, statements: &Statements, columns: &str) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new(format!(
            "SELECT {columns} FROM {}.keys WHERE workspace = ",
            statements.schema
        ));
        query.push_bind(self.workspace.to_string());
        if self.environment == Environment::Test {
            query.push(" AND test");
        }
        if let Some(owner) = &self.list.owner {
            query.push(" AND owner = ").push_bind(owner.to_string());
        }
        if let Some(status) = self.list.status {
            let now = self.now.as_millis();
            match status {
                Status::Active => query
                    .push(" AND revoked_at IS NULL AND enabled AND coalesce(expires_at > ")
                    .push_bind(now)
                    .push(", true)"),
                Status::Disabled => query
                    .push(" AND revoked_at IS NULL AND NOT enabled AND coalesce(expires_at > ")
                    .push_bind(now)
                    .push(", true)"),
                Status::Expired => query
                    .push(" AND revoked_at IS NULL AND expires_at <= ")
                    .push_bind(now),
                Status::Revoked => query.push(" AND revoked_at IS NOT NULL"),
            };
        }
        if let Some(text) = &self.list.search {
            query
                .push(" AND strpos(folded_name, ")
                .push_bind(fold_case(text))
                .push(") > 0");
        }
        query
    }
}
