//! `keywright keys …`: the operator's way in.

use std::io::{Write, stdout};

use anyhow::{Result, bail};
use keywright_core::{Caller, Clock, Expiry, NewKey, Permissions, SystemClock};
use keywright_http_tower::IssuedJson;

use crate::{
    cli::{CreateOptions, LibraryOptions},
    store::{self, StoreUrl},
};

/// Creates a key and prints its token.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn create(library: &LibraryOptions, options: CreateOptions) -> Result<()> {
    let url = StoreUrl::parse(&library.store)?;
    if matches!(url, StoreUrl::Memory) {
        bail!(
            "the store memory: ends with this command, and the key with it; use --store sqlite:PATH"
        );
    }
    let opened = store::open(&url, library).await?;
    let mut new = NewKey::named(options.name);
    new.permissions = Some(options.permissions);
    new.environment = Some(options.environment);
    if let Some(span) = options.expires_in {
        new.expiry = Expiry::At(SystemClock::default().now().saturating_add(span));
    }
    let operator = Caller::new(options.workspace, Permissions::all());
    let issued = opened.keys.issuer().create(&operator, new).await?;
    let mut out = stdout().lock();
    if options.json {
        out.write_all(IssuedJson::new(&issued)?.expose())?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", issued.token.expose())?;
    }
    Ok(())
}
