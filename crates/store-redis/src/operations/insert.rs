//! Inserting a record.
//!
//! An insert has three steps, each in one hash slot: register the key as a child of its parent, add
//! it to the index, store the record. An insert that is interrupted leaves a registered child or an
//! index entry without a record. Both are harmless.

use std::{sync::Arc, time::Duration};

use keywright_core::{
    KeyId, Timestamp,
    store::{Lease, Record, StoreErrorKind},
};
use redis::{Value, cmd};

use super::{
    confirmation::Confirmation,
    index,
    run_script::run_script,
    stored::{encode, read_bytes},
};
use crate::{
    error::{Error, Result},
    record::{self, DecodeError, Stored},
    request::{Effect, Request},
    script::{self, code},
    servers::Servers,
};

/// After this time, an index entry without a record may have been removed by a listing.
const SLOW: Duration = Duration::from_secs(10);

/// Inserts a record under a new id.
pub(crate) async fn insert(
    servers: &Arc<Servers>,
    lease: &Lease,
    record: &Record,
    now: Timestamp,
) -> Result<()> {
    let bytes = encode(record)?;
    let key = &record.key;
    let mut confirmation = Confirmation::of_nothing();
    if let Some(parent) = &key.parent {
        confirmation = admit(servers, parent, record, now).await?;
    }
    let indexed_at = lease.now();
    confirmation = confirmation.and(index::add(servers, record).await?);
    confirmation = confirmation.and(store(servers, &key.id, bytes).await?);
    if lease.now().saturating_duration_since(indexed_at) > SLOW {
        confirmation = confirmation.and(index::add(servers, record).await?);
    }
    confirmation.check(servers, ())
}

/// Registers a child with its parent, if the parent is active and ends no earlier. From then on, a
/// cascading revocation of the parent finds the child.
async fn admit(
    servers: &Arc<Servers>,
    parent: &KeyId,
    child: &Record,
    now: Timestamp,
) -> Result<Confirmation> {
    let names = servers.names();
    let (code, confirmation) = run_script(
        servers,
        &script::ADMIT,
        vec![names.record(parent), names.children(parent)],
        vec![
            child.key.workspace.as_str().into(),
            now.as_millis().to_string().into(),
            child.key.id.as_bytes().into(),
            record::encode_time(child.key.expires_at).into(),
        ],
        Effect::Idempotent,
    )
    .await?;
    match code {
        code::DONE => Ok(confirmation),
        code::CONFLICT => Err(StoreErrorKind::Conflict.into()),
        _ => Err(DecodeError::Length.into()),
    }
}

async fn store(servers: &Arc<Servers>, id: &KeyId, bytes: Vec<u8>) -> Result<Confirmation> {
    let name = servers.names().record(id);
    let mut set = cmd("SET");
    set.arg(&name).arg(bytes).arg("NX");
    let response = servers.run(Request::new(&name, Effect::Once, set)).await?;
    match response.value {
        Value::Okay => Ok(Confirmation::of(&response)),
        Value::Nil => Err(taken(servers, id).await?.into()),
        _ => Err(Error::Malformed("reply to SET")),
    }
}

/// Returns why an id is taken: by another record, or by the tombstone that a revocation of the
/// parent has stored in the meantime.
async fn taken(servers: &Arc<Servers>, id: &KeyId) -> Result<StoreErrorKind> {
    match read_bytes(servers, id).await? {
        Value::BulkString(bytes) if record::decode(*id, &bytes) == Ok(Stored::Tombstone) => {
            Ok(StoreErrorKind::Conflict)
        }
        _ => Ok(StoreErrorKind::AlreadyExists),
    }
}
