//! `keywright migrate`: creates or updates the tables of a PostgreSQL store.

use anyhow::Result;
use keywright_store_postgres::migration_sql;

use crate::{
    options::{LibraryOptions, MigrateOptions},
    output::lines,
    postgres,
    store::StoreUrl,
};

/// Migrates the store or prints the SQL, and prints what it did. For another store, it prints that
/// no migration is needed, as a comment of SQL with `--print`.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, options: &MigrateOptions) -> Result<()> {
    let url = StoreUrl::parse(&library.store)?;
    url.check_options(&library.postgres)?;
    let reason = match url {
        StoreUrl::Postgres(_) if options.print => {
            return lines(&migration_sql(&library.postgres.config()?));
        }
        StoreUrl::Postgres(url) => {
            postgres::migrate(url, &library.postgres).await?;
            let schema = library.postgres.schema_name();
            return lines(&format!("the tables in the schema {schema} are current\n"));
        }
        StoreUrl::Sqlite(..) => "a SQLite store migrates when it is opened",
        StoreUrl::Redis(_) => "a Redis store has no tables",
        StoreUrl::Memory => "a store in memory has no tables",
    };
    let comment = if options.print { "-- " } else { "" };
    lines(&format!("{comment}nothing to migrate: {reason}\n"))
}
