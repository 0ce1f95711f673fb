//! Reading of stored records.

use std::sync::Arc;

use keywright_core::{
    EventId, KeyId, Workspace,
    store::{Record, StoreErrorKind},
};
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Lane, Request},
    servers::Servers,
};

/// Returns the value under the name of a record, without decoding it.
pub(super) async fn read_bytes(servers: &Arc<Servers>, id: &KeyId) -> Result<Value> {
    read_bytes_in_lane(servers, Lane::Single, id).await
}

/// Returns the value under the name of a record, over the connection for walks.
pub(super) async fn read_bytes_in_walk(servers: &Arc<Servers>, id: &KeyId) -> Result<Value> {
    read_bytes_in_lane(servers, Lane::Walk, id).await
}

async fn read_bytes_in_lane(servers: &Arc<Servers>, lane: Lane, id: &KeyId) -> Result<Value> {
    let name = servers.names().record(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let request = Request::new(&name, Effect::Read, get).in_lane(lane);
    Ok(servers.run(request).await?.value)
}

/// Returns a record, encoded and decoded.
pub(super) async fn read(servers: &Arc<Servers>, id: &KeyId) -> Result<Option<(Vec<u8>, Record)>> {
    match read_bytes(servers, id).await? {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => match record::decode(*id, &bytes)? {
            Stored::Record(record) => Ok(Some((bytes, *record))),
            Stored::Tombstone => Ok(None),
        },
        _ => Err(Error::Malformed("record")),
    }
}

/// Returns a record in this workspace (in any, if it is `None`), encoded and decoded.
///
/// # Errors
///
/// `NotFound` if there is no such record.
pub(super) async fn read_in_workspace(
    servers: &Arc<Servers>,
    workspace: Option<&Workspace>,
    id: &KeyId,
) -> Result<(Vec<u8>, Record)> {
    let found = read(servers, id).await?;
    found
        .filter(|(_, record)| workspace.is_none_or(|workspace| record.key.workspace == *workspace))
        .ok_or_else(|| StoreErrorKind::NotFound.into())
}

/// Returns the error of a change that was not made because the record had changed since it was
/// read: `NotFound` if the key is revoked or deleted, or else `Conflict`.
pub(super) async fn conflict(
    servers: &Arc<Servers>,
    workspace: Option<&Workspace>,
    id: &KeyId,
    version: u64,
) -> Error {
    match read_in_workspace(servers, workspace, id).await {
        Ok((_, record)) => match record.check_version(version) {
            Err(kind) => kind.into(),
            Ok(()) => StoreErrorKind::Conflict.into(),
        },
        Err(error) => error,
    }
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>> {
    record::encode(record).ok_or(Error::TooLarge)
}

/// Parses an id from an index, or from the set of keys that a key has received.
pub(super) fn parse_id(value: &Value) -> Option<KeyId> {
    match value {
        Value::BulkString(id) => KeyId::from_bytes(id).ok(),
        _ => None,
    }
}

/// Parses an id from an index of events.
pub(super) fn parse_event_id(value: &Value) -> Option<EventId> {
    match value {
        Value::BulkString(id) => EventId::from_bytes(id).ok(),
        _ => None,
    }
}
