//! `keywright keys rotate`.

use anyhow::{Context, Result};
use keywright_core::NewRotation;

use super::{options::RotateOptions, output};
use crate::{operator::Operator, options::LibraryOptions};

/// Replaces a key with a successor and prints the successor's token.
pub(super) async fn run(library: &LibraryOptions, options: RotateOptions) -> Result<()> {
    let mut rotation = NewRotation::new();
    rotation.overlap = options.expire_previous;
    rotation.expires_at = options.expiry.expires_at()?;
    let operator = Operator::open(library, options.workspace).await?;
    let issued = operator
        .issuer()
        .rotate(&operator.caller, &options.id, &rotation)
        .await
        .map_err(|error| operator.key_error(error, &options.id))?;
    // The new key stays active: only from it can a rotation continue.
    output::issued(&issued, options.json).with_context(|| {
        format!(
            "replaced the key {} with {id}, but could not print the new token: run keywright keys rotate {id}",
            options.id,
            id = issued.key.id
        )
    })
}
