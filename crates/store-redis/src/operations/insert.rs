//! Adding a record: noted by its parent, listed, stored, in this order.

use std::{sync::Arc, time::Duration};

use keywright_core::{Environment, Key, KeyId, Record, StoreErrorKind, Timestamp};
use redis::{Value, cmd};

use super::{Confirmation, call, written};
use crate::{
    error::{Error, Result},
    record::{self, Stored, Unreadable},
    request::{Effect, Request},
    script::{self, answer},
    servers::Servers,
};

/// After that long, who lists keys may have taken an entry away whose record was still on its way.
const SLOW: Duration = Duration::from_secs(10);

/// Adds a record under an id that is new. What is interrupted on the way leaves a note or an entry
/// without a record, and neither does anything.
pub(crate) async fn insert(servers: &Arc<Servers>, record: &Record, now: Timestamp) -> Result<()> {
    let bytes = written(record)?;
    let key = &record.key;
    let mut confirmation = Confirmation(true);
    if let Some(parent) = &key.parent {
        confirmation = admit(servers, parent, record, now).await?;
    }
    let lease = servers.hearing().lease();
    let listed = lease.now();
    confirmation = confirmation.and(add_to_index(servers, record).await?);
    confirmation = confirmation.and(store(servers, &key.id, bytes).await?);
    if lease.now().saturating_duration_since(listed) > SLOW {
        confirmation = confirmation.and(add_to_index(servers, record).await?);
    }
    confirmation.check(servers, ())
}

/// Has a parent that is active and ends no earlier note its child: whoever revokes both finds it.
async fn admit(
    servers: &Arc<Servers>,
    parent: &KeyId,
    child: &Record,
    now: Timestamp,
) -> Result<Confirmation> {
    let names = servers.names();
    let (code, confirmation) = call(
        servers,
        &script::ADMIT,
        vec![names.record(parent), names.children(parent)],
        vec![
            child.key.workspace.as_str().into(),
            now.as_millis().to_string().into(),
            child.key.id.as_bytes().into(),
            record::time(child.key.expires_at).into(),
        ],
        Effect::Repeatable,
    )
    .await?;
    match code {
        answer::DONE => Ok(confirmation),
        answer::CONFLICT => Err(StoreErrorKind::Conflict.into()),
        _ => Err(Unreadable::Length.into()),
    }
}

/// Lists a key. An entry without a record is passed over.
pub(super) async fn add_to_index(servers: &Arc<Servers>, record: &Record) -> Result<Confirmation> {
    let Key {
        id,
        workspace,
        environment,
        ..
    } = &record.key;
    let names = servers.names();
    let confirmation = add_entry(servers, &names.index(workspace), id).await?;
    match environment {
        Environment::Live => Ok(confirmation),
        Environment::Test => {
            let test = add_entry(servers, &names.test_index(workspace), id).await?;
            Ok(confirmation.and(test))
        }
    }
}

async fn add_entry(servers: &Arc<Servers>, index: &[u8], id: &KeyId) -> Result<Confirmation> {
    let mut add = cmd("ZADD");
    add.arg(index).arg(0).arg(id.as_bytes());
    let answer = servers
        .run(Request::new(index, Effect::Repeatable, add))
        .await?;
    Ok(Confirmation::of(&answer))
}

async fn store(servers: &Arc<Servers>, id: &KeyId, bytes: Vec<u8>) -> Result<Confirmation> {
    let name = servers.names().record(id);
    let mut set = cmd("SET");
    set.arg(&name).arg(bytes).arg("NX");
    let answer = servers.run(Request::new(&name, Effect::Once, set)).await?;
    match answer.value {
        Value::Okay => Ok(Confirmation::of(&answer)),
        Value::Nil => Err(taken(servers, id).await?.into()),
        _ => Err(Error::Unexpected("answer to SET")),
    }
}

/// Why an id cannot be had. Whoever revoked the parent meanwhile may have seen to it.
async fn taken(servers: &Arc<Servers>, id: &KeyId) -> Result<StoreErrorKind> {
    let name = servers.names().record(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let request = Request::new(&name, Effect::Reads, get);
    match servers.run(request).await?.value {
        Value::BulkString(bytes) if record::read(*id, &bytes) == Ok(Stored::Gone) => {
            Ok(StoreErrorKind::Conflict)
        }
        _ => Ok(StoreErrorKind::AlreadyExists),
    }
}
