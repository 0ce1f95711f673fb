//! Listing the keys of a workspace.

use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Status, Timestamp, Workspace,
    store::fold_case,
};
use rusqlite::{Connection, params_from_iter, types::Value};

use crate::{
    error::Result,
    record::{self, key_columns},
};

/// Returns one page of the keys of a workspace.
pub(crate) fn list(
    connection: &Connection,
    workspace: &Workspace,
    environment: Environment,
    list: &ListKeys<KeyId>,
    now: Timestamp,
) -> Result<Page<KeyId>> {
    // The total and the page come from one state of the file.
    let transaction = connection.unchecked_transaction()?;
    let query = Query::new(workspace, environment, list, now);
    let total = match list.start {
        ListStart::Offset(_) => Some(total(connection, &query)?),
        ListStart::After(_) => None,
    };
    let keys = page(connection, query.page(list))?;
    transaction.commit()?;
    Ok(Page::cut(keys, list.limit, total))
}

fn total(connection: &Connection, query: &Query) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM keys WHERE {}", query.conditions);
    let total: i64 = connection
        .prepare_cached(&sql)?
        .query_one(params_from_iter(&query.parameters), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

fn page(connection: &Connection, query: Query) -> Result<Vec<Key>> {
    let keys = connection
        .prepare_cached(&query.page_sql())?
        .query_map(params_from_iter(query.parameters), record::key)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(keys)
}

/// The conditions of a listing and their parameters.
struct Query {
    conditions: String,
    parameters: Vec<Value>,
}

impl Query {
    /// Selects the keys on all pages of the list.
    fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Self {
        let mut query = Self {
            conditions: "workspace = ?".into(),
            parameters: vec![Value::Text(workspace.as_str().into())],
        };
        if environment == Environment::Test {
            query.and("environment = 1");
        }
        if let Some(status) = list.status {
            let now = Value::Integer(now.as_millis());
            match status {
                Status::Active => query.and_with(
                    "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
                    now,
                ),
                Status::Expired => query.and_with("revoked_at IS NULL AND expires_at <= ?", now),
                Status::Revoked => query.and("revoked_at IS NOT NULL"),
            }
        }
        if let Some(text) = &list.search {
            query.and_with("instr(fold(name), ?) > 0", Value::Text(fold_case(text)));
        }
        query
    }

    /// Limits the query to one page, and one more key that shows whether another page follows.
    fn page(mut self, list: &ListKeys<KeyId>) -> Self {
        let offset = match list.start {
            ListStart::After(id) => {
                self.and_with("id < ?", Value::Blob(id.as_bytes().into()));
                0
            }
            ListStart::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
        };
        let limit = i64::from(list.limit) + 1;
        self.parameters
            .extend([Value::Integer(limit), Value::Integer(offset)]);
        self
    }

    /// Returns the statement for a page. It skips keys in the index, and reads only the page's
    /// rows.
    fn page_sql(&self) -> String {
        format!(
            concat!(
                "SELECT ",
                key_columns!(),
                " FROM keys WHERE id IN (SELECT id FROM keys WHERE {} ",
                "ORDER BY id DESC LIMIT ? OFFSET ?) ORDER BY id DESC"
            ),
            self.conditions
        )
    }

    fn and(&mut self, condition: &str) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
    }

    fn and_with(&mut self, condition: &str, parameter: Value) {
        self.and(condition);
        self.parameters.push(parameter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection, file, schema};

    fn plan(connection: &Connection, sql: &str, parameters: &[Value]) -> String {
        connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map(params_from_iter(parameters), |row| row.get("detail"))
            .unwrap()
            .collect::<rusqlite::Result<Vec<String>>>()
            .unwrap()
            .join("\n")
    }

    #[test]
    fn pages_and_totals_come_from_an_index_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        file::create_if_missing(&path).unwrap();
        let connection = connection::open(&path).unwrap();
        connection::configure(&connection).unwrap();
        schema::migrate(&connection, 0).unwrap();

        let workspace = Workspace::parse("default").unwrap();
        let now = Timestamp::from_millis(0).unwrap();
        let cursor = KeyId::parse("key_0U5lKtf600000000").unwrap();
        for (environment, index) in [
            (Environment::Live, "keys_live"),
            (Environment::Test, "keys_test"),
        ] {
            for status in [
                None,
                Some(Status::Active),
                Some(Status::Expired),
                Some(Status::Revoked),
            ] {
                for start in [ListStart::Offset(0), ListStart::After(cursor)] {
                    let mut list = ListKeys::new().with_start(start);
                    list.status = status;

                    let query = Query::new(&workspace, environment, &list, now);
                    let total = format!("SELECT count(*) FROM keys WHERE {}", query.conditions);
                    assert_eq!(
                        plan(&connection, &total, &query.parameters),
                        format!("SEARCH keys USING COVERING INDEX {index} (workspace=?)"),
                        "{list:?}"
                    );

                    let query = query.page(&list);
                    let range = match start {
                        ListStart::Offset(_) => "(workspace=?)",
                        ListStart::After(_) => "(workspace=? AND id<?)",
                    };
                    assert_eq!(
                        plan(&connection, &query.page_sql(), &query.parameters),
                        format!(
                            "SEARCH keys USING PRIMARY KEY (id=?)\n\
                             LIST SUBQUERY 1\n\
                             SEARCH keys USING COVERING INDEX {index} {range}"
                        ),
                        "{list:?}"
                    );
                }
            }
        }
    }
}
