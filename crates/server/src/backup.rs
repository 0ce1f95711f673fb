//! `keywright backup`: copies a SQLite store that may be in use into a new file.

use anyhow::{Context, Result, bail};
use keywright_store_sqlite::SqliteStore;

use crate::{
    options::{BackupOptions, LibraryOptions},
    progress::with_elapsed_time,
    store::StoreUrl,
};

/// Copies the store, and prints nothing but the progress on a terminal.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, options: BackupOptions) -> Result<()> {
    let url = StoreUrl::parse(&library.store)?;
    url.require_existing()?;
    url.check_options(&library.postgres)?;
    let (path, sharing) = match url {
        StoreUrl::Sqlite(path, sharing) => (path, sharing),
        StoreUrl::Postgres(_) => bail!(
            "`keywright backup` copies only a SQLite store: back up PostgreSQL with pg_dump, which includes the schema {}",
            library.postgres.schema_name()
        ),
        StoreUrl::Redis(_) | StoreUrl::Memory => bail!(
            "`keywright backup` copies only a SQLite store: back up Redis with its snapshots or its append-only file"
        ),
    };
    let target = options.target.display();
    // The backup also fails if another program creates the file after this check.
    if options.target.symlink_metadata().is_ok() {
        bail!("{target} exists: give the path of a new file");
    }
    let store = SqliteStore::open_with(path, sharing)?;
    with_elapsed_time("copying", store.backup(&options.target))
        .await
        .with_context(|| format!("cannot copy the store to {target}"))
}
