//! Replacing a key with a successor.

use std::{iter, sync::Arc};

use keywright_core::{
    Event, Timestamp, Workspace,
    store::{Lease, Rotation},
};

use super::{
    confirmation::Confirmation,
    index::{self, Entries, Room},
    new_event::NewEvent,
    register::{register, taken},
    stored::{conflict, encode, read_in_workspace},
    update::replace,
};
use crate::{
    error::{Error, Result},
    script::code,
    servers::Servers,
};

/// Inserts the successor, retires the predecessor and appends the event in one step.
///
/// A successor has its predecessor's routing tag, so the two are in one slot. The key that requests
/// the rotation may be in another slot. So the store checks that key before the step instead of in
/// it. The check also registers the successor with that key, so that a cascade from it finds the
/// successor.
pub(crate) async fn rotate(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: &Workspace,
    rotation: Rotation,
    now: Timestamp,
    event: Option<&Event>,
) -> Result<()> {
    let event = event
        .map(|event| NewEvent::new(servers, event))
        .transpose()?;
    let event = event.as_ref();
    let Rotation {
        predecessor: id,
        version,
        retire,
        successor,
        ..
    } = rotation;
    let (old, mut record) = read_in_workspace(servers, Some(workspace), &id).await?;
    record.retire(version, retire, successor.key.id, now)?;
    if id.routing_tag() != successor.key.id.routing_tag() {
        return Err(Error::SuccessorRoutingTag);
    }
    let new = encode(&record)?;
    let inserted = encode(&successor)?;

    let mut confirmation = Confirmation::of_nothing();
    if let Some(caller) = &successor.key.rotated_by {
        confirmation = register(servers, caller, &successor.key, now).await?;
    }
    let of_key = iter::once(Entries::of_key(servers, &successor.key));
    let entries: Vec<Entries> = of_key.chain(event.map(NewEvent::entries)).collect();
    let indexed_at = lease.now();
    confirmation = confirmation.and(index::add(servers, &entries, Room::Required).await?);
    let names = servers.names();
    let keys = vec![names.record(&id), names.record(&successor.key.id)];
    let result = replace(servers, lease, keys, vec![old, new, inserted], event).await;
    // Invalidate copies even if the reply was lost: the predecessor may be retired.
    lease.changed(&id);
    let (code, replaced) = result?;
    match code {
        code::DONE => {
            let again = index::add_again(servers, lease, &entries, indexed_at).await?;
            confirmation.and(replaced).and(again).check(servers, ())
        }
        code::ALREADY_EXISTS => Err(taken(servers, &successor.key.id).await?.into()),
        _ => Err(conflict(servers, Some(workspace), &id, version).await),
    }
}
