//! Replacing a key with a successor.

use std::sync::Arc;

use keywright_core::{
    Timestamp, Workspace,
    store::{Lease, Rotation, StoreErrorKind},
};

use super::{
    find::find,
    index,
    stored::{conflict, encode, read_in_workspace},
    update::replace,
};
use crate::{
    error::{Error, Result},
    script::code,
    servers::Servers,
};

/// Inserts the successor and retires the predecessor in one step.
///
/// A successor has its predecessor's routing tag, so the two are in one slot.
pub(crate) async fn rotate(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: &Workspace,
    rotation: Rotation,
    now: Timestamp,
) -> Result<()> {
    let Rotation {
        predecessor: id,
        version,
        retire,
        successor,
        caller,
        ..
    } = rotation;
    // The caller's key may be in another slot, so check it right before the step instead of in it.
    if let Some(caller) = caller {
        let found = find(servers, lease, &caller).await?;
        if !found.is_some_and(|record| record.key.admits(&successor.key, now)) {
            return Err(StoreErrorKind::Conflict.into());
        }
    }
    let (old, mut record) = read_in_workspace(servers, Some(workspace), &id).await?;
    record.retire(version, retire, successor.key.id, now)?;
    if id.routing_tag() != successor.key.id.routing_tag() {
        return Err(Error::SuccessorRoutingTag);
    }
    let new = encode(&record)?;
    let inserted = encode(&successor)?;

    let indexed = index::add(servers, &successor).await?;
    let names = servers.names();
    let keys = vec![names.record(&id), names.record(&successor.key.id)];
    let result = replace(servers, keys, vec![old, new, inserted]).await;
    // Invalidate copies even if the reply was lost: the predecessor may be retired.
    lease.changed(&id);
    let (code, confirmation) = result?;
    match code {
        code::DONE => confirmation.and(indexed).check(servers, ()),
        code::ALREADY_EXISTS => Err(StoreErrorKind::AlreadyExists.into()),
        _ => Err(conflict(servers, Some(workspace), &id, version).await),
    }
}
