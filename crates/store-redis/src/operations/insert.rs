//! Inserting a record.
//!
//! An insert has three steps: register the key with its parent, add it to the indexes, store the
//! record. An insert that is interrupted leaves a registered id or an index
//! entry without a record. Both are harmless.

use std::sync::Arc;

use keywright_core::{
    KeyId, Timestamp,
    store::{Lease, Record},
};
use redis::{Value, cmd};

use super::{
    confirmation::Confirmation,
    index,
    register::{register, taken},
    stored::encode,
};
use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    servers::Servers,
};

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
        confirmation = register(servers, parent, key, now).await?;
    }
    let indexed_at = lease.now();
    confirmation = confirmation.and(index::add(servers, key).await?);
    confirmation = confirmation.and(store(servers, &key.id, bytes).await?);
    confirmation = confirmation.and(index::add_again(servers, lease, key, indexed_at).await?);
    confirmation.check(servers, ())
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
