//! Inserting a record.
//!
//! An insert has these steps: register the key with its parent, claim its alias, add it and its
//! event to the indexes, store the record with the event. An insert that is interrupted leaves a
//! registered id, a claimed alias, or index entries without a record and an event. All are
//! harmless.
//!
//! If one server has all slots, the last two steps are one script.

use std::{iter, sync::Arc};

use keywright_core::{
    Event, KeyId, Timestamp,
    store::{Lease, Record, StoreErrorKind},
};

use super::{
    alias::claim_alias,
    confirmation::Confirmation,
    index::{self, Entries, Room},
    new_event::{NewEvent, run_change},
    register::{register, taken},
    stored::encode,
};
use crate::{
    error::Result,
    script::{self, code},
    servers::Servers,
};

/// Inserts a record under a new id, and appends the event.
pub(crate) async fn insert(
    servers: &Arc<Servers>,
    lease: &Lease,
    record: &Record,
    now: Timestamp,
    event: Option<&Event>,
) -> Result<()> {
    let bytes = encode(record)?;
    let key = &record.key;
    let event = event
        .map(|event| NewEvent::new(servers, event))
        .transpose()?;
    let event = event.as_ref();
    let mut confirmation = Confirmation::of_nothing();
    if let Some(parent) = &key.parent {
        confirmation = register(servers, parent, key, now).await?;
    }
    if let Some(alias) = &record.alias {
        confirmation = confirmation.and(claim_alias(servers, alias, &key.id).await?);
    }
    let of_key = iter::once(Entries::of_key(servers, key));
    let entries: Vec<Entries> = of_key.chain(event.map(NewEvent::entries)).collect();
    let (code, stored) = store(servers, lease, &key.id, bytes, &entries, event).await?;
    if code != code::DONE {
        let kind = match &record.alias {
            // Another insert has taken the alias over.
            Some(_) if key.parent.is_none() => StoreErrorKind::AlreadyExists,
            _ => taken(servers, &key.id).await?,
        };
        return Err(kind.into());
    }
    confirmation.and(stored).check(servers, ())
}

/// Adds the entries, and stores the record with the event.
async fn store(
    servers: &Arc<Servers>,
    lease: &Lease,
    id: &KeyId,
    bytes: Vec<u8>,
    entries: &[Entries],
    event: Option<&NewEvent>,
) -> Result<(i64, Confirmation)> {
    if let Some(node) = servers.primary(&servers.names().record(id))
        && node.endpoint.has_all_slots()
    {
        match run_insert(servers, lease, id, bytes.clone(), entries, event).await {
            // The address leads to a cluster by now. The server has rejected the script.
            Err(error) if error.is_across_slots() => node.endpoint.set_has_all_slots(false),
            result => return result,
        }
    }
    let indexed_at = lease.now();
    let added = index::add(servers, entries, Room::Required).await?;
    let (code, stored) = run_insert(servers, lease, id, bytes, &[], event).await?;
    let mut confirmation = added.and(stored);
    if code == code::DONE {
        let again = index::add_again(servers, lease, entries, indexed_at).await?;
        confirmation = confirmation.and(again);
    }
    Ok((code, confirmation))
}

/// Runs the script that stores the record with the event and adds these entries.
async fn run_insert(
    servers: &Arc<Servers>,
    lease: &Lease,
    id: &KeyId,
    bytes: Vec<u8>,
    entries: &[Entries],
    event: Option<&NewEvent>,
) -> Result<(i64, Confirmation)> {
    let (indexes, ids): (Vec<Vec<u8>>, Vec<Vec<u8>>) = entries
        .iter()
        .flat_map(Entries::iter)
        .map(|(index, id)| (index.to_vec(), id.to_vec()))
        .unzip();
    let count = indexes.len().to_string().into_bytes();
    let keys = iter::once(servers.names().record(id)).chain(indexes);
    let arguments = [bytes, count].into_iter().chain(ids);
    let (keys, arguments) = (keys.collect(), arguments.collect());
    run_change(servers, lease, &script::INSERT, keys, arguments, event).await
}
