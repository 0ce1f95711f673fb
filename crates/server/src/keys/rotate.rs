//! `keywright keys rotate`.

use anyhow::{Context, Result};
use keywright_core::NewRotation;

use super::{Operator, end_after, options::RotateOptions, print};
use crate::cli::LibraryOptions;

/// Replaces a key by a successor and prints its token.
pub(super) async fn run(library: &LibraryOptions, options: RotateOptions) -> Result<()> {
    let mut rotation = NewRotation::new();
    rotation.overlap = options.expire_previous;
    rotation.expires_at = options.expires_in.map(end_after).transpose()?;
    let operator = Operator::of(library, options.workspace).await?;
    let issued = operator
        .issuer()
        .rotate(&operator.caller, &options.id, &rotation)
        .await
        .map_err(|error| operator.told(error, &options.id))?;
    let printed = if options.json {
        print::issued(&issued)
    } else {
        print::token(&issued)
    };
    printed.with_context(|| {
        format!(
            "the key {} was replaced by {}, whose token could not be printed; rotate that one",
            options.id, issued.key.id
        )
    })
}
