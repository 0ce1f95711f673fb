//! `keywright keys create`.

use anyhow::{Context, Result, bail};
use keywright_core::{Caller, Expiry, NewKey, Permissions};

use super::{end_after, options::CreateOptions, print};
use crate::{
    cli::LibraryOptions,
    store::{self, StoreUrl},
};

/// Creates a key and prints its token.
pub(super) async fn run(library: &LibraryOptions, options: CreateOptions) -> Result<()> {
    let url = StoreUrl::parse(&library.store)?;
    if matches!(url, StoreUrl::Memory) {
        bail!(
            "the store memory: ends with this command, and the key with it; use --store sqlite:PATH"
        );
    }
    let mut new = NewKey::new(options.name)
        .with_permissions(options.permissions)
        .with_environment(options.environment);
    if let Some(span) = options.expires_in {
        new.expiry = Expiry::At(end_after(span)?);
    }
    let opened = store::open(&url, library).await?;
    let operator = Caller::new(options.workspace, Permissions::all());
    let issued = opened.keys.issuer().create(&operator, new).await?;
    let printed = if options.json {
        print::issued(&issued)
    } else {
        print::token(&issued)
    };
    printed.with_context(|| {
        format!(
            "the key {} was made and could not be printed; make another one",
            issued.key.id
        )
    })
}
