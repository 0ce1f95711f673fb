//! `keywright keys create`.

use anyhow::{Context, Result, bail};
use keywright_core::{Caller, Expiry, NewKey};

use super::{options::CreateOptions, output};
use crate::{
    operator::expires_after,
    options::LibraryOptions,
    store::{self, OldEvents, StoreUrl},
};

/// Creates a key and prints its token.
pub(super) async fn run(library: &LibraryOptions, options: CreateOptions) -> Result<()> {
    let url = StoreUrl::parse(&library.store)?;
    if matches!(url, StoreUrl::Memory) {
        bail!(
            "the store memory: would lose the key when this command ends; use --store sqlite:PATH"
        );
    }
    let mut new = NewKey::new(options.name)
        .with_permissions(options.permissions)
        .with_environment(options.environment);
    new.metadata = options.metadata;
    new.allowed_ips = options.allowed_ips;
    if let Some(lifetime) = options.expires_in {
        new.expiry = Expiry::At(expires_after(lifetime)?);
    }
    let mut operator = Caller::operator(options.workspace);
    if let Some(owner) = options.owner {
        operator = operator.with_owner(owner);
    }
    if let Some(attributes) = options.attributes {
        operator = operator.with_attributes(attributes);
    }
    let opened = store::open(&url, library, OldEvents::Keep).await?;
    let issued = opened.keys.issuer().create(&operator, new).await?;
    output::issued(&issued, options.json).with_context(|| {
        format!(
            "created the key {}, but could not print its token; create another key",
            issued.key.id
        )
    })
}
