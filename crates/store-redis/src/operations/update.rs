//! Changing a record of a known version: its name and metadata, or its credential.

use std::sync::Arc;

use keywright_core::{Credential, Key, KeyId, Record, Rename, StoreErrorKind, Workspace};

use super::{Confirmation, call, find::find, next, read_unchanged, written};
use crate::{
    error::Result,
    request::Effect,
    script::{self, answer},
    servers::Servers,
};

/// Replaces name and metadata.
pub(crate) async fn rename(
    servers: &Arc<Servers>,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    rename: Rename,
) -> Result<Key> {
    let record = update(servers, Some(workspace), id, version, move |record| {
        if let Some(name) = &rename.name {
            record.key.name = name.clone();
        }
        if let Some(metadata) = &rename.metadata {
            record.key.metadata = Some(metadata.clone());
        }
    })
    .await?;
    // The answer is the key as it is, with its last use.
    let found = find(servers, id).await?;
    let mut key = record.key;
    key.last_used_at = found.and_then(|found| found.key.last_used_at);
    Ok(key)
}

/// Replaces hash and tag.
pub(crate) async fn rehash(
    servers: &Arc<Servers>,
    id: &KeyId,
    version: u64,
    credential: Credential,
) -> Result<()> {
    update(servers, None, id, version, move |record| {
        record.credential = credential.clone();
    })
    .await?;
    Ok(())
}

async fn update(
    servers: &Arc<Servers>,
    workspace: Option<&Workspace>,
    id: &KeyId,
    version: u64,
    change: impl Fn(&mut Record),
) -> Result<Record> {
    let (old, mut record) = read_unchanged(servers, workspace, id, version).await?;
    change(&mut record);
    record.version = next(&record)?;
    let name = servers.names().record(id);
    let outcome = replace(servers, vec![name], vec![old, written(&record)?]).await;
    // Also where it is not known whether it was done.
    servers.hearing().lease().changed(id);
    let (code, confirmation) = outcome?;
    if code == answer::DONE {
        return confirmation.check(servers, record);
    }
    // Somebody else was faster: it is revoked, or of another version.
    read_unchanged(servers, workspace, id, version).await?;
    Err(StoreErrorKind::Conflict.into())
}

/// Replaces a record that is still as it was read.
pub(super) async fn replace(
    servers: &Arc<Servers>,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
) -> Result<(i64, Confirmation)> {
    call(servers, &script::REPLACE, keys, arguments, Effect::Once).await
}
