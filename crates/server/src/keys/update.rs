//! `keywright keys update`, `disable` and `enable`.

use anyhow::{Context, Result};
use keywright_core::{Attributes, Change, KeyUpdate};

use super::{
    options::{KeyOptions, UpdateOptions},
    output,
};
use crate::{operator::Operator, options::LibraryOptions};

/// Changes settings of a key, and prints the key.
pub(super) async fn run(library: &LibraryOptions, options: UpdateOptions) -> Result<()> {
    let attributes = change(options.attributes, options.no_attributes);
    let mut update = KeyUpdate::new();
    update.name = options.name;
    update.permissions = options.permissions;
    update.metadata = change(options.metadata, options.no_metadata);
    update.expires_at = change(options.expiry.expires_at()?, options.never_expires);
    update.allowed_ips = change(options.allowed_ips, options.any_ip);
    update.enabled = (options.enable || options.disable).then_some(options.enable);
    apply(library, options.key, &update, attributes).await
}

/// Pauses or resumes a key, and prints the key.
pub(super) async fn set_enabled(
    library: &LibraryOptions,
    key: KeyOptions,
    enabled: bool,
) -> Result<()> {
    let update = KeyUpdate::new().with_enabled(enabled);
    apply(library, key, &update, Change::Keep).await
}

async fn apply(
    library: &LibraryOptions,
    key: KeyOptions,
    update: &KeyUpdate,
    attributes: Change<Attributes>,
) -> Result<()> {
    let KeyOptions {
        id,
        workspace,
        json,
    } = key;
    let operator = Operator::open(library, workspace).await?;
    let (issuer, caller) = (operator.issuer(), &operator.caller);
    let mut updated = None;
    if !update.is_empty() {
        let changed = issuer.update(caller, &id, update).await;
        updated = Some(changed.map_err(|error| operator.key_error(error, &id))?);
    }
    if attributes != Change::Keep {
        // A separate write, because an update on behalf of a client never changes attributes.
        let changed = issuer
            .set_attributes(caller, &id, attributes.apply(None))
            .await
            .map_err(|error| operator.key_error(error, &id));
        updated = Some(match updated {
            None => changed?,
            Some(_) => changed.context("changed the other settings, but not the attributes")?,
        });
    }
    match updated {
        Some(updated) => output::key(&updated.key, issuer.now(), json),
        // The options require a change.
        None => Ok(()),
    }
}

/// Returns the change that an option for a value and a flag for its removal describe.
fn change<T>(value: Option<T>, clear: bool) -> Change<T> {
    match value {
        Some(value) => Change::Set(value),
        None if clear => Change::Clear,
        None => Change::Keep,
    }
}
