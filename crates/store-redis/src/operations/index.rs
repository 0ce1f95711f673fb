//! The index of a workspace: a sorted set of the ids of its keys.
//!
//! An entry is added before the record is stored, and removed after the record is deleted. So an
//! entry may have no record, but each record has an entry.
//!
//! Only lists and purges read and remove entries.

use std::sync::Arc;

use keywright_core::{Environment, Key, KeyId, store::Record};
use redis::{Cmd, Value, cmd};

use super::{confirmation::Confirmation, stored::parse_id};
use crate::{
    error::{Error, Result},
    request::{Effect, Lane, Request},
    servers::Servers,
};

/// Adds a key to the index of its workspace and, if it is a `test` key, to the index of `test`
/// keys.
pub(super) async fn add(servers: &Arc<Servers>, record: &Record) -> Result<Confirmation> {
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
    let request = Request::new(index, Effect::Idempotent, add);
    let response = servers.run(request).await?;
    Ok(Confirmation::of(&response))
}

/// Returns the command that reads the entries after an id, or the newest if it is `None`.
pub(super) fn entries_after(index: &[u8], id: Option<KeyId>, count: u64) -> Cmd {
    let mut range = cmd("ZRANGE");
    range.arg(index);
    match id {
        Some(id) => range.arg([b"(", id.as_bytes().as_slice()].concat()),
        None => range.arg("+"),
    };
    range.arg("-").arg("BYLEX").arg("REV");
    range.arg("LIMIT").arg(0).arg(count);
    range
}

/// Returns the command that reads the entries from an offset, newest first.
pub(super) fn entries_at(index: &[u8], offset: u64, count: u64) -> Cmd {
    let mut range = cmd("ZRANGE");
    range
        .arg(index)
        .arg(offset)
        .arg(offset.saturating_add(count) - 1)
        .arg("REV");
    range
}

/// Reads entries with one of the commands above.
pub(super) async fn read(servers: &Arc<Servers>, index: &[u8], entries: Cmd) -> Result<Vec<KeyId>> {
    let request = Request::new(index, Effect::Read, entries).in_lane(Lane::Walk);
    let Value::Array(entries) = servers.run(request).await?.value else {
        return Err(Error::Malformed("reply to ZRANGE"));
    };
    entries
        .iter()
        .map(parse_id)
        .collect::<Option<_>>()
        .ok_or(Error::Malformed("index"))
}

/// Returns the number of entries, including those without a record.
pub(super) async fn count(servers: &Arc<Servers>, index: &[u8]) -> Result<u64> {
    let mut count = cmd("ZCARD");
    count.arg(index);
    let request = Request::new(index, Effect::Read, count).in_lane(Lane::Walk);
    match servers.run(request).await?.value {
        Value::Int(count) => Ok(count.unsigned_abs()),
        _ => Err(Error::Malformed("reply to ZCARD")),
    }
}

pub(super) async fn remove(
    servers: &Arc<Servers>,
    index: &[u8],
    id: &KeyId,
) -> Result<Confirmation> {
    let mut remove = cmd("ZREM");
    remove.arg(index).arg(id.as_bytes());
    let request = Request::new(index, Effect::Idempotent, remove).in_lane(Lane::Walk);
    let response = servers.run(request).await?;
    Ok(Confirmation::of(&response))
}
