//! Creates the first key of an empty store.

use std::io::{IsTerminal, stdout};

use anyhow::{Context, Result};
use keywright_core::{Caller, Name, NewKey, Reach, Workspace};

use crate::{options::FirstKey, secret_output, store::Library};

/// Creates the first key of an empty store and prints its token, or logs how to create a key.
pub(crate) async fn create(library: &Library, choice: FirstKey) -> Result<()> {
    let print = match choice {
        FirstKey::Print => true,
        FirstKey::Auto => stdout().is_terminal(),
        FirstKey::None => return Ok(()),
    };
    if !print {
        if library.store.is_empty().await? {
            tracing::info!(
                "the store has no keys; create one with: keywright keys create --name NAME"
            );
        }
        return Ok(());
    }
    let operator = Caller::operator(Workspace::parse("default")?);
    let new = NewKey::new(Name::parse("First key")?);
    let first = library.keys.issuer().create_first(&operator, new).await?;
    if let Some(issued) = first {
        if let Err(error) = secret_output::write_line(issued.token.expose()) {
            let id = issued.key.id;
            let revoked = library
                .keys
                .issuer()
                .revoke(&operator, &id, Reach::Key)
                .await;
            let also = if revoked.is_ok() {
                ", and revoked it"
            } else {
                ""
            };
            return Err(error).with_context(|| {
                format!("created the first key {id}, but could not print its token{also}; create another key with keywright keys create")
            });
        }
        tracing::info!("the token of the first key is shown only once");
    }
    Ok(())
}
