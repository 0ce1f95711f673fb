//! `keywright keys rename`.

use anyhow::Result;
use keywright_core::Rename;

use super::{operator::Operator, options::RenameOptions, output};
use crate::options::LibraryOptions;

/// Changes the name or the metadata of a key, and prints the key.
pub(super) async fn run(library: &LibraryOptions, options: RenameOptions) -> Result<()> {
    let operator = Operator::open(library, options.workspace).await?;
    let rename = Rename::new(options.name, options.metadata);
    let key = operator
        .issuer()
        .rename(&operator.caller, &options.id, &rename)
        .await
        .map_err(|error| operator.key_error(error, &options.id))?;
    output::key(&key, operator.issuer().now(), options.json)
}
