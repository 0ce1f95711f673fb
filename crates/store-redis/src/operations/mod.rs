//! What the store does, one module for each kind of operation.

mod dangling;
mod empty;
mod find;
mod insert;
mod lineage;
mod list;
mod purge;
mod reserve;
mod revoke;
mod rotate;
mod scan;
mod setting;
mod touch;
mod update;

use std::sync::Arc;

use keywright_core::{KeyId, Record, StoreErrorKind, Workspace};
use redis::{Value, cmd};

pub(crate) use self::{
    dangling::Dangling,
    empty::is_empty,
    find::{find_at_once, find_until},
    insert::insert,
    list::list,
    purge::purge,
    reserve::reserve,
    revoke::revoke,
    rotate::rotate,
    setting::{claim_prefix, format},
    touch::touch,
    update::{rehash, rename},
};
use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Request},
    script::{Call, Script},
    servers::{Answer, Servers},
};

/// Calls a script that answers with one number. Answers with it, and whether replicas have confirmed.
async fn call(
    servers: &Arc<Servers>,
    script: &'static Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    effect: Effect,
) -> Result<(i64, Confirmation)> {
    let call = Call {
        script,
        keys,
        arguments,
    };
    let answer = servers.run(Request::script(call, effect)).await?;
    match answer.value {
        Value::Int(code) => Ok((code, Confirmation::of(&answer))),
        _ => Err(Error::Unexpected("answer of the script")),
    }
}

/// Whether as many replicas as are wanted have all that was changed so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Confirmation(bool);

impl Confirmation {
    const fn of(answer: &Answer) -> Self {
        Self(answer.confirmed)
    }

    /// Of both changes.
    const fn and(self, other: Self) -> Self {
        Self(self.0 && other.0)
    }

    /// The outcome of what was done.
    fn check<T>(self, servers: &Servers, done: T) -> Result<T> {
        if self.0 {
            Ok(done)
        } else {
            Err(Error::NotConfirmed {
                wanted: servers.min_replicas(),
            })
        }
    }
}

/// The record of an id as it is stored, and the bytes.
async fn read(servers: &Arc<Servers>, id: &KeyId) -> Result<Option<(Vec<u8>, Record)>> {
    let name = servers.names().record(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let request = Request::new(&name, Effect::Reads, get);
    match servers.run(request).await?.value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => match record::read(*id, &bytes)? {
            Stored::Record(record) => Ok(Some((bytes, *record))),
            Stored::Gone => Ok(None),
        },
        _ => Err(Error::Unexpected("record")),
    }
}

/// A record that an operation may change: `NotFound` unless it is there, in the workspace if one is
/// given, and not revoked; `Conflict` on another version.
async fn read_unchanged(
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

/// The next version of a record.
fn next(record: &Record) -> Result<u64> {
    record.version.checked_add(1).ok_or(Error::TooLarge)
}

fn written(record: &Record) -> Result<Vec<u8>> {
    record::write(record).ok_or(Error::TooLarge)
}

/// The id that an entry or a note is; `None` if it is none.
fn read_id(value: &Value) -> Option<KeyId> {
    match value {
        Value::BulkString(id) => KeyId::from_bytes(id).ok(),
        _ => None,
    }
}
