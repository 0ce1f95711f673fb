//! `keywright keys …`: the operator's way in.

use std::io::{Write, stdout};

use anyhow::{Context, Result, bail};
use keywright_core::{Caller, Clock, Expiry, NewKey, Permissions, SystemClock, Timestamp};
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
    let mut new = NewKey::named(options.name);
    new.permissions = Some(options.permissions);
    new.environment = Some(options.environment);
    if let Some(span) = options.expires_in {
        // Before the store is opened: a mistake must not leave a new file behind.
        let end = SystemClock::default().now().saturating_add(span);
        if span.is_zero() || end == Timestamp::MAX {
            bail!("--expires-in must be more than nothing, and end before the year 10000");
        }
        new.expiry = Expiry::At(end);
    }
    let opened = store::open(&url, library).await?;
    let operator = Caller::new(options.workspace, Permissions::all());
    let issued = opened.keys.issuer().create(&operator, new).await?;
    let mut out = stdout().lock();
    let printed = if options.json {
        out.write_all(IssuedJson::new(&issued)?.expose())
            .and_then(|()| writeln!(out))
    } else {
        writeln!(out, "{}", issued.token.expose())
    };
    printed.and_then(|()| out.flush()).with_context(|| {
        format!(
            "the key {} was made and could not be printed; make another one",
            issued.key.id
        )
    })
}
