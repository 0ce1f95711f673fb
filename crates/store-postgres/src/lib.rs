//! A store that keeps API keys in the PostgreSQL of the host, through its `sqlx` pool.

mod change;
mod config;
mod connect;
mod database;
mod error;
mod feed;
mod finder;
mod in_transaction;
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

/// Connects to a server, and returns a pool of up to 10 connections.
///
/// The URL is `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE`, with the parameters `sslmode`,
/// `sslrootcert`, `sslcert`, `sslkey`, `application_name` and `options` of libpq. The driver reads
/// missing parts from the variables of libpq, such as `PGPASSWORD`, and a password from `.pgpass`.
///
/// # Errors
///
/// [`OpenError::Url`], [`OpenError::Parameter`], and [`OpenError::Connect`]. The latter also if the
/// server does not respond within 10 seconds.
pub async fn connect(url: &str) -> Result<PgPool, OpenError> {
    connect::connect(url).await
}

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
