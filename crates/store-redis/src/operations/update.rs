//! Changing a record if it still has the version that was read.

use std::sync::Arc;

use keywright_core::{
    KeyId, VersionedKey, Workspace,
    store::{Credential, Lease, Record, Settings, StoreErrorKind},
};

use super::{
    confirmation::Confirmation,
    find::find,
    run_script::run_script,
    stored::{conflict, encode, read_in_workspace},
};
use crate::{
    error::Result,
    request::Effect,
    script::{self, code},
    servers::Servers,
};

/// Replaces the settings. Returns the changed key with its time of last use.
pub(crate) async fn update(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    settings: Settings,
) -> Result<VersionedKey> {
    let Record {
        mut key, version, ..
    } = change(servers, lease, Some(workspace), id, version, |record| {
        record.update(version, settings)
    })
    .await?;
    let found = find(servers, lease, id).await?;
    key.last_used_at = found.and_then(|found| found.key.last_used_at);
    Ok(VersionedKey::new(key, version))
}

/// Replaces hash and tag.
pub(crate) async fn rehash(
    servers: &Arc<Servers>,
    lease: &Lease,
    id: &KeyId,
    version: u64,
    credential: Credential,
) -> Result<()> {
    change(servers, lease, None, id, version, |record| {
        record.rehash(version, credential)
    })
    .await?;
    Ok(())
}

async fn change(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: Option<&Workspace>,
    id: &KeyId,
    version: u64,
    apply: impl FnOnce(&mut Record) -> Result<(), StoreErrorKind>,
) -> Result<Record> {
    let (old, mut record) = read_in_workspace(servers, workspace, id).await?;
    apply(&mut record)?;
    let name = servers.names().record(id);
    let result = replace(servers, vec![name], vec![old, encode(&record)?]).await;
    // Invalidate copies even if the reply was lost: the record may be changed.
    lease.changed(id);
    let (code, confirmation) = result?;
    if code == code::DONE {
        return confirmation.check(servers, record);
    }
    Err(conflict(servers, workspace, id, version).await)
}

/// Replaces a record if it has not changed since it was read.
pub(super) async fn replace(
    servers: &Arc<Servers>,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
) -> Result<(i64, Confirmation)> {
    run_script(servers, &script::REPLACE, keys, arguments, Effect::Once).await
}
