//! Migrations.

use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    config::PostgresConfig,
    open::{check_schema, missing_privilege, version},
    open_error::OpenError,
    schema,
};

/// The key of the advisory lock that serialises migrations: `KWRGMIGR` in ASCII.
const MIGRATION_LOCK: i64 = 0x4b57_5247_4d49_4752;

/// Creates or migrates the tables. Several programs can call this at the same time. The role needs
/// the right to create tables in the schema, and to create the schema if it does not exist.
///
/// # Errors
///
/// [`OpenError::NewerSchema`] if a newer program has migrated the tables,
/// [`OpenError::Privilege`], [`OpenError::Connect`], and [`OpenError::Statement`].
pub async fn migrate(pool: &PgPool, config: &PostgresConfig) -> Result<(), OpenError> {
    let schema = &config.schema;
    let mut transaction = pool.begin().await.map_err(OpenError::Connect)?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *transaction)
        .await
        .map_err(OpenError::Statement)?;
    let has_schema = check_schema(&mut transaction, schema).await?;
    let from = version(&mut transaction, schema).await?.unwrap_or(0);
    if from > schema::VERSION {
        return Err(OpenError::NewerSchema {
            schema: schema.to_string(),
            found: from,
            supported: schema::VERSION,
        });
    }
    let mut migration = schema::migration(schema, from);
    let object = if has_schema {
        format!("the schema {schema}")
    } else {
        migration.insert_str(0, &schema::create(schema));
        "the database".into()
    };
    sqlx::raw_sql(AssertSqlSafe(migration))
        .execute(&mut *transaction)
        .await
        .map_err(|error| missing_privilege(error, "CREATE", object))?;
    transaction.commit().await.map_err(OpenError::Statement)
}

/// Returns the SQL that creates the tables, for the migration tool of the host.
#[must_use]
pub fn migration_sql(config: &PostgresConfig) -> String {
    let schema = &config.schema;
    schema::create(schema) + &schema::migration(schema, 0)
}
