//! Inserting a record.
//!
//! An insert has these steps: register the key with its parent, claim its alias, add it and its
//! event to the indexes, store the record with the event. An insert that is interrupted leaves a
//! registered id, a claimed alias, or index entries without a record and an event. All are
//! harmless.

use std::{iter, sync::Arc};

use keywright_core::{
    Event, Timestamp,
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
    let indexed_at = lease.now();
    confirmation = confirmation.and(index::add(servers, &entries, Room::Required).await?);
    let (code, stored) = run_change(
        servers,
        lease,
        &script::INSERT,
        vec![servers.names().record(&key.id)],
        vec![bytes],
        event,
    )
    .await?;
    if code != code::DONE {
        let kind = match &record.alias {
            // Another insert has taken the alias over.
            Some(_) if key.parent.is_none() => StoreErrorKind::AlreadyExists,
            _ => taken(servers, &key.id).await?,
        };
        return Err(kind.into());
    }
    let again = index::add_again(servers, lease, &entries, indexed_at).await?;
    confirmation.and(stored).and(again).check(servers, ())
}
