//! `keywright keys rename`.

use anyhow::Result;
use keywright_core::Rename;
use keywright_http_tower::KeyView;

use super::{Operator, options::RenameOptions, print, table};
use crate::cli::LibraryOptions;

/// Gives a key another name or other metadata, and prints it.
pub(super) async fn run(library: &LibraryOptions, options: RenameOptions) -> Result<()> {
    let operator = Operator::of(library, options.workspace).await?;
    let rename = Rename::new(options.name, options.metadata);
    let key = operator
        .issuer()
        .rename(&operator.caller, &options.id, &rename)
        .await
        .map_err(|error| operator.told(error, &options.id))?;
    let now = operator.issuer().now();
    if options.json {
        print::json(&KeyView::new(&key, now))
    } else {
        print::lines(&table::details(&key, now))
    }
}
