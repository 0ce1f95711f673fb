//! A store that keeps API keys in the PostgreSQL of the host, through its `sqlx` pool.

mod change;
mod config;
mod database;
mod error;
mod feed;
mod finder;
mod in_transaction;
mod lane;
mod open;
mod open_error;
mod operations;
mod queue;
mod record;
mod schema;
mod schema_name;
mod snapshot;
mod statements;
mod store;
mod transaction;
mod writer;

use sqlx::PgPool;

// The public interface is:
pub use crate::{config::PostgresConfig, open_error::OpenError, store::PostgresStore};

/// Creates or migrates the tables. Several programs can call this at the same time. The role needs
/// the right to create the schema and its tables.
///
/// # Errors
///
/// [`OpenError::NewerSchema`] if a newer program has migrated the tables,
/// [`OpenError::Connect`], and [`OpenError::Statement`].
pub async fn migrate(pool: &PgPool, config: &PostgresConfig) -> Result<(), OpenError> {
    open::migrate(pool, &config.schema).await
}

/// Returns the SQL that creates the tables, for the migration tool of the host.
#[must_use]
pub fn migration_sql(config: &PostgresConfig) -> String {
    let schema = &config.schema;
    schema::create(schema) + &schema::migration(schema, 0)
}
