//! The identity of a store, by which a connection to another database is recognised.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::{open_error::OpenError, schema::in_schema, schema_name::SchemaName, values::text};

/// The name of a database, and the id of the store in it. A standby has the same as its primary,
/// and so has a database that was restored from a backup under the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoreIdentity(String);

const IDENTITY: &str = "current_database() || ' ' || \
     (SELECT value FROM {schema}.settings WHERE name = 'id')";

impl StoreIdentity {
    pub(crate) async fn read(
        connection: &mut PgConnection,
        schema: &SchemaName,
    ) -> Result<Self, OpenError> {
        let sql = in_schema(schema, &format!("SELECT {IDENTITY} AS identity"));
        let row = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_one(connection)
            .await
            .map_err(OpenError::Statement)?;
        let identity: Option<String> = row.try_get("identity").map_err(OpenError::Statement)?;
        let identity = identity.ok_or_else(|| OpenError::not_migrated(schema))?;
        Ok(Self(identity))
    }

    /// Returns the SQL condition that a statement runs in this store. `{schema}` stands for the
    /// name of the schema.
    pub(crate) fn condition(&self) -> String {
        format!("coalesce({IDENTITY} = {}, false)", text(&self.0))
    }
}
