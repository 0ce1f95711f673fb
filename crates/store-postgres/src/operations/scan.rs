//! Scans of one index, in slices.

use keywright_core::{Environment, KeyId, Owner, Workspace};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::{error::Result, record::id_text, statements::Statements};

/// Sorts after every id.
pub(super) const ABOVE_ALL_IDS: &str = "~";

/// Sorts before every id.
pub(super) const BELOW_ALL_IDS: &str = "";

/// The rows of a table that one index contains in the order of their ids.
///
/// Conditions on the id compare whole rows of columns, and the order names all columns. So only the
/// index that consists of these columns can be read in this order.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    table: &'static str,
    /// The columns of the index before the id. A column without a value is true.
    columns: Vec<(&'static str, Option<String>)>,
}

/// The order of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Scan {
    /// All rows of a table.
    pub(super) const fn all(table: &'static str) -> Self {
        Self {
            table,
            columns: Vec::new(),
        }
    }

    /// The rows of a workspace that a caller sees.
    pub(super) fn of_workspace(
        table: &'static str,
        workspace: &Workspace,
        environment: Environment,
        owner: Option<&Owner>,
    ) -> Self {
        let mut columns = Vec::new();
        if environment == Environment::Test {
            columns.push(("test", None));
        }
        columns.push(("workspace", Some(workspace.to_string())));
        columns.extend(owner.map(|owner| ("owner", Some(owner.to_string()))));
        Self { table, columns }
    }

    /// The events of a key.
    pub(super) fn of_key(key: &KeyId) -> Self {
        Self {
            table: "events",
            columns: vec![("key", Some(id_text(key)))],
        }
    }

    /// Begins a statement that reads columns of the rows with an id from `first` to `before`,
    /// exclusive.
    pub(super) fn select(
        &self,
        statements: &Statements,
        columns: &str,
        first: &str,
        before: &str,
    ) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new(format!("SELECT {columns}"));
        self.push_rows(&mut query, statements, first, before);
        query
    }

    /// Appends the part of a statement that selects the rows with an id from `first` to `before`,
    /// exclusive.
    pub(super) fn push_rows(
        &self,
        query: &mut QueryBuilder<Postgres>,
        statements: &Statements,
        first: &str,
        before: &str,
    ) {
        let (schema, table) = (statements.schema.quoted(), self.table);
        query.push(format!(" FROM {schema}.{table} WHERE "));
        self.push_bound(query, ">=", first);
        query.push(" AND ");
        self.push_bound(query, "<", before);
        // The conditions of the partial indexes.
        for (column, _) in &self.columns {
            match *column {
                "test" => {
                    query.push(" AND test");
                }
                "owner" => {
                    query.push(" AND owner IS NOT NULL");
                }
                _ => {}
            }
        }
    }

    /// Appends a condition for the id.
    pub(super) fn push_bound(
        &self,
        query: &mut QueryBuilder<Postgres>,
        comparison: &str,
        id: &str,
    ) {
        query.push("(");
        for (column, _) in &self.columns {
            query.push(format!("{column}, "));
        }
        query.push(format!("id) {comparison} ("));
        for (_, value) in &self.columns {
            match value {
                Some(value) => query.push_bind(value.clone()).push(", "),
                None => query.push("true, "),
            };
        }
        query.push_bind(id.to_owned()).push(")");
    }

    /// Appends the order of the index.
    pub(super) fn push_order(&self, query: &mut QueryBuilder<Postgres>, order: Order) {
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        query.push(" ORDER BY ");
        for (column, _) in &self.columns {
            query.push(format!("{column} {direction}, "));
        }
        query.push(format!("id {direction}"));
    }

    /// Returns the first id of the slice that ends before an id and has a number of rows.
    /// [`BELOW_ALL_IDS`] if there are no more rows.
    pub(super) async fn slice_before(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
        before: &str,
        length: u32,
    ) -> Result<String> {
        let mut query = self.select(statements, "id", BELOW_ALL_IDS, before);
        self.push_order(&mut query, Order::Descending);
        query
            .push(" LIMIT 1 OFFSET ")
            .push_bind(i64::from(length) - 1);
        let first: Option<String> = query
            .build_query_scalar()
            .persistent(false)
            .fetch_optional(connection)
            .await?;
        Ok(first.unwrap_or_else(|| BELOW_ALL_IDS.into()))
    }
}
