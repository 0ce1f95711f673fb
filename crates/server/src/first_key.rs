//! Creates the first key of an empty store.

use std::io::{IsTerminal, stdout};

use anyhow::Result;
use keywright_core::{Caller, Name, NewKey, Workspace};

use crate::{
    secret_output::{self, revoke_unprinted},
    serve_options::FirstKey,
    store::Library,
};

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
    let issuer = library.keys.issuer();
    let Some(issued) = issuer.create_first(&operator, new).await? else {
        return Ok(());
    };
    let id = issued.key.id;
    if let Err(error) = secret_output::write_line(issued.token.expose()) {
        let error = revoke_unprinted(issuer, &operator, &id, error.into()).await;
        return Err(error.context(format!(
            "created the first key {id}; create another key with keywright keys create"
        )));
    }
    tracing::info!("the token of the first key is shown only once");
    Ok(())
}
