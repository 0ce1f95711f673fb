//! Finding a record and its last use.

use std::sync::Arc;

use keywright_core::{KeyId, Record, Timestamp};
use redis::{Cmd, Value, cmd};

use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Request},
    servers::Servers,
};

/// The record of an id, if there is one. Where its changes are not heard of, a copy of it counts for
/// nothing, and that is told.
pub(crate) async fn find(servers: &Arc<Servers>, id: &KeyId) -> Result<Option<Record>> {
    let mut both = cmd("MGET");
    both.arg(servers.names().record(id))
        .arg(servers.names().last_use(id));
    match fetch(servers, id, Effect::ReadsTogether, vec![both]).await {
        Ok(values) => {
            if let [Value::Array(values)] = &*values
                && let [stored @ Value::BulkString(_), used] = &**values
            {
                return read(id, stored, used);
            }
        }
        Err(error) if error.is_split() => {}
        Err(error) => return Err(error),
    }
    // There is none, or a value of another type, which `MGET` does not tell apart; or the slot is on its
    // way to another server, which has one of the two so far.
    let [stored, used] = commands(servers, id);
    match &*fetch(servers, id, Effect::Reads, vec![stored, used]).await? {
        [stored, used] => read(id, stored, used),
        _ => Err(Error::Unexpected("pair of values")),
    }
}

/// The commands that get both.
pub(super) fn commands(servers: &Servers, id: &KeyId) -> [Cmd; 2] {
    let names = servers.names();
    [names.record(id), names.last_use(id)].map(|name| {
        let mut get = cmd("GET");
        get.arg(name);
        get
    })
}

async fn fetch(
    servers: &Arc<Servers>,
    id: &KeyId,
    effect: Effect,
    commands: Vec<Cmd>,
) -> Result<Vec<Value>> {
    let name = servers.names().record(id);
    let answer = servers.run(Request::new(&name, effect, commands)).await?;
    if !answer.node.is_heard() {
        servers.hearing().lease().changed(id);
    }
    Ok(answer.values)
}

/// Puts both together.
pub(super) fn read(id: &KeyId, stored: &Value, used: &Value) -> Result<Option<Record>> {
    let bytes = match stored {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => bytes,
        _ => return Err(Error::Unexpected("record")),
    };
    match record::read(*id, bytes)? {
        Stored::Gone => Ok(None),
        Stored::Record(mut record) => {
            record.key.last_used_at = last_use(used)?;
            Ok(Some(*record))
        }
    }
}

fn last_use(used: &Value) -> Result<Option<Timestamp>> {
    match used {
        Value::Nil => Ok(None),
        Value::BulkString(text) => str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .and_then(|millis| Timestamp::from_millis(millis).ok())
            .map(Some)
            .ok_or(Error::Unexpected("time of last use")),
        _ => Err(Error::Unexpected("time of last use")),
    }
}
