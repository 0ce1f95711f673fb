//! Changing a record if it still has the version that was read.

use std::sync::Arc;

use keywright_core::{
    Event, KeyId, VersionedKey, Workspace,
    store::{Credential, Lease, Record, Settings, StoreErrorKind},
};

use super::{
    confirmation::Confirmation,
    find::find,
    index::Room,
    new_event::{NewEvent, run_change},
    stored::{conflict, encode, read_in_workspace},
};
use crate::{
    error::Result,
    script::{self, code},
    servers::Servers,
};

/// Replaces the settings and appends the event. Returns the changed key with its time of last use.
pub(crate) async fn update(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    settings: Settings,
    event: Option<&Event>,
) -> Result<VersionedKey> {
    let apply = |record: &mut Record| record.update(version, settings);
    let change = change(servers, lease, Some(workspace), id, version, apply, event);
    let Record {
        mut key, version, ..
    } = change.await?;
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
    let apply = |record: &mut Record| record.rehash(version, credential);
    change(servers, lease, None, id, version, apply, None).await?;
    Ok(())
}

async fn change(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: Option<&Workspace>,
    id: &KeyId,
    version: u64,
    apply: impl FnOnce(&mut Record) -> Result<(), StoreErrorKind>,
    event: Option<&Event>,
) -> Result<Record> {
    let event = event
        .map(|event| NewEvent::new(servers, event))
        .transpose()?;
    let (old, mut record) = read_in_workspace(servers, workspace, id).await?;
    apply(&mut record)?;
    let new = encode(&record)?;
    let indexed_at = lease.now();
    let mut confirmation = Confirmation::of_nothing();
    if let Some(event) = &event {
        // `replace.lua` has the same rule.
        let room = if new.len() <= old.len() {
            Room::NotRequired
        } else {
            Room::Required
        };
        confirmation = event.add_entries(servers, room).await?;
    }
    let name = servers.names().record(id);
    let arguments = vec![old, new, Vec::new()];
    let result = replace(servers, lease, vec![name], arguments, event.as_ref()).await;
    // Invalidate copies even if the reply was lost: the record may be changed.
    lease.changed(id);
    let (code, replaced) = result?;
    if code != code::DONE {
        return Err(conflict(servers, workspace, id, version).await);
    }
    confirmation = confirmation.and(replaced);
    if let Some(event) = &event {
        let again = event.add_entries_again(servers, lease, indexed_at).await?;
        confirmation = confirmation.and(again);
    }
    confirmation.check(servers, record)
}

/// Replaces a record if it has not changed since it was read, and appends the event.
pub(super) async fn replace(
    servers: &Arc<Servers>,
    lease: &Lease,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    event: Option<&NewEvent>,
) -> Result<(i64, Confirmation)> {
    run_change(servers, lease, &script::REPLACE, keys, arguments, event).await
}
