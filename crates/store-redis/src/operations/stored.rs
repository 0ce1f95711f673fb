//! Reading of stored records.

use std::sync::Arc;

use keywright_core::{KeyId, Record, StoreErrorKind, Workspace};
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Request},
    servers::Servers,
};

/// Returns the value under the name of a record, without decoding it.
pub(super) async fn read_bytes(servers: &Arc<Servers>, id: &KeyId) -> Result<Value> {
    let name = servers.names().record(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let response = servers.run(Request::new(&name, Effect::Read, get)).await?;
    Ok(response.value)
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

/// Returns a record that may be changed, encoded and decoded.
///
/// # Errors
///
/// * `NotFound` if there is no such record in the workspace (in any, if it is `None`), or if the key is
///   revoked
/// * `Conflict` if the record has another version
pub(super) async fn read_unchanged(
    servers: &Arc<Servers>,
    workspace: Option<&Workspace>,
    id: &KeyId,
    version: u64,
) -> Result<(Vec<u8>, Record)> {
    let (bytes, record) = read(servers, id)
        .await?
        .filter(|(_, record)| workspace.is_none_or(|workspace| record.key.workspace == *workspace))
        .filter(|(_, record)| record.key.revoked_at.is_none())
        .ok_or(StoreErrorKind::NotFound)?;
    if record.version == version {
        Ok((bytes, record))
    } else {
        Err(StoreErrorKind::Conflict.into())
    }
}

pub(super) fn next_version(record: &Record) -> Result<u64> {
    record.version.checked_add(1).ok_or(Error::TooLarge)
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>> {
    record::encode(record).ok_or(Error::TooLarge)
}

/// Parses an id in an index or among the children of a key.
pub(super) fn parse_id(value: &Value) -> Option<KeyId> {
    match value {
        Value::BulkString(id) => KeyId::from_bytes(id).ok(),
        _ => None,
    }
}
