//! Replacing a key by a successor.

use std::sync::Arc;

use keywright_core::{Retire, Rotation, Status, StoreErrorKind, Timestamp, Workspace};

use super::{find::find, insert::add_to_index, next, read_unchanged, update::replace, written};
use crate::{
    error::{Error, Result},
    script::answer,
    servers::Servers,
};

/// Inserts the successor and retires the predecessor, both or neither. Both are in one slot, since the
/// successor has its predecessor's routing tag.
pub(crate) async fn rotate(
    servers: &Arc<Servers>,
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
    // It lies in another slot, so this is just before the step and not in it.
    if let Some(caller) = caller {
        let found = find(servers, &caller).await?;
        let admitted = found.is_some_and(|record| record.key.admits(&successor.key, now));
        if !admitted {
            return Err(StoreErrorKind::Conflict.into());
        }
    }
    let (old, mut record) = read_unchanged(servers, Some(workspace), &id, version).await?;
    let key = &mut record.key;
    if key.successor.is_some() || key.status(now) != Status::Active {
        return Err(StoreErrorKind::Conflict.into());
    }
    if id.routing_tag() != successor.key.id.routing_tag() {
        return Err(Error::ForeignSuccessor);
    }
    match retire {
        Retire::Now => key.revoked_at = Some(now),
        Retire::At(end) => key.expires_at = Some(key.expires_at.map_or(end, |own| own.min(end))),
    }
    key.successor = Some(successor.key.id);
    record.version = next(&record)?;
    let new = written(&record)?;
    let inserted = written(&successor)?;

    let listed = add_to_index(servers, &successor).await?;
    let names = servers.names();
    let keys = vec![names.record(&id), names.record(&successor.key.id)];
    let outcome = replace(servers, keys, vec![old, new, inserted]).await;
    // Also where it is not known whether it was done.
    servers.hearing().lease().changed(&id);
    let (code, confirmation) = outcome?;
    match code {
        answer::DONE => confirmation.and(listed).check(servers, ()),
        answer::TAKEN => Err(StoreErrorKind::AlreadyExists.into()),
        _ => {
            // Somebody else was faster: it is revoked, or of another version.
            read_unchanged(servers, Some(workspace), &id, version).await?;
            Err(StoreErrorKind::Conflict.into())
        }
    }
}
