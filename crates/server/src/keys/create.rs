//! `keywright keys create`.

use anyhow::{Result, bail};
use keywright_core::{Caller, Expiry, NewKey};

use super::{options::CreateOptions, output};
use crate::{
    options::LibraryOptions,
    secret_output::revoke_unprinted,
    store::{self, Opener, StoreUrl},
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
    if let Some(expires_at) = options.expiry.expires_at()? {
        new.expiry = Expiry::At(expires_at);
    }
    let mut operator = Caller::operator(options.workspace);
    if let Some(owner) = options.owner {
        operator = operator.with_owner(owner);
    }
    if let Some(attributes) = options.attributes {
        operator = operator.with_attributes(attributes);
    }
    let opened = store::open(&url, library, Opener::Command).await?;
    let issuer = opened.keys.issuer();
    let issued = issuer.create(&operator, new).await?;
    match output::issued(&issued, options.json) {
        Ok(()) => Ok(()),
        Err(error) => Err(revoke_unprinted(issuer, &operator, &issued.key.id, error).await),
    }
}
