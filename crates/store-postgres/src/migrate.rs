//! Migrations.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::sleep;

use crate::{
    config::PostgresConfig,
    open::{check_schema, code, missing_privilege, version},
    open_error::OpenError,
    schema,
    schema_name::SchemaName,
};

/// The key of the advisory lock that serialises migrations: `KWRGMIGR` in ASCII.
const MIGRATION_LOCK: i64 = 0x4b57_5247_4d49_4752;

/// The number of attempts at a migration of tables that transactions keep locked.
const ATTEMPTS: u32 = 67;

/// The pause before the next attempt, in which transactions that wait for the tables can run.
const PAUSE: Duration = Duration::from_millis(100);

/// Creates or migrates the tables. Several programs can call this at the same time. The role needs
/// the right to create tables in the schema, and to create the schema if it does not exist.
///
/// A migration waits up to about 10 seconds for open transactions that make changes, such as those
/// of the host. Meanwhile, other programs can use the tables.
///
/// # Errors
///
/// [`OpenError::NewerSchema`] if a newer program has migrated the tables, [`OpenError::Locked`] if
/// a transaction does not end, [`OpenError::Privilege`], [`OpenError::Connect`], and
/// [`OpenError::Statement`].
pub async fn migrate(pool: &PgPool, config: &PostgresConfig) -> Result<(), OpenError> {
    run(pool, &config.schema, &schema::MIGRATIONS).await
}

async fn run(pool: &PgPool, schema: &SchemaName, migrations: &[&str]) -> Result<(), OpenError> {
    for _ in 1..ATTEMPTS {
        match attempt(pool, schema, migrations).await {
            Err(OpenError::Locked { .. }) => sleep(PAUSE).await,
            done => return done,
        }
    }
    attempt(pool, schema, migrations).await
}

async fn attempt(pool: &PgPool, schema: &SchemaName, migrations: &[&str]) -> Result<(), OpenError> {
    let mut transaction = pool.begin().await.map_err(OpenError::Connect)?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *transaction)
        .await
        .map_err(OpenError::Statement)?;
    let has_schema = check_schema(&mut transaction, schema).await?;
    let found = version(&mut transaction, schema).await?.unwrap_or(0);
    let from = match usize::try_from(found) {
        Ok(from) if from < migrations.len() => from,
        Ok(from) if from == migrations.len() => return Ok(()),
        _ => {
            return Err(OpenError::NewerSchema {
                schema: schema.to_string(),
                found,
                supported: schema::VERSION,
            });
        }
    };
    let mut migration = schema::migration(schema, migrations, from);
    let object = if has_schema {
        format!("the schema {schema}")
    } else {
        migration.insert_str(0, &schema::create(schema));
        "the database".into()
    };
    sqlx::raw_sql(AssertSqlSafe(migration))
        .execute(&mut *transaction)
        .await
        .map_err(|error| match code(&error).as_deref() {
            // A lock was not available within `lock_timeout`.
            Some("55P03") => OpenError::Locked {
                schema: schema.to_string(),
            },
            _ => missing_privilege(error, "CREATE", object),
        })?;
    transaction.commit().await.map_err(OpenError::Statement)
}

/// Returns the SQL that creates the tables, for the migration tool of the host.
#[must_use]
pub fn migration_sql(config: &PostgresConfig) -> String {
    let schema = &config.schema;
    schema::create(schema) + &schema::migration(schema, &schema::MIGRATIONS, 0)
}

#[cfg(test)]
mod tests;
