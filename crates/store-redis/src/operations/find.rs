//! Finding a record and its last use.

use std::{sync::Arc, time::Instant};

use keywright_core::{KeyId, Record, Timestamp};
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Request},
    servers::{Answer, Servers},
};

/// The record of an id, if there is one. Where its changes are not heard of, a copy of it counts for
/// nothing, and that is told.
pub(crate) async fn find(servers: &Arc<Servers>, id: &KeyId) -> Result<Option<Record>> {
    find_until(servers, servers.end(), id).await
}

/// The same for a call that has begun before.
pub(crate) async fn find_until(
    servers: &Arc<Servers>,
    end: Instant,
    id: &KeyId,
) -> Result<Option<Record>> {
    let names = [servers.names().record(id), servers.names().last_use(id)];
    match get(servers, end, id, Effect::ReadsTogether, "MGET", &names).await {
        Ok(answer) => {
            let Value::Array(values) = answer.value else {
                return Err(Error::Unexpected("pair of values"));
            };
            if let [stored @ Value::BulkString(_), used] = &*values
                && answer.heard
            {
                return read(id, stored, used);
            }
        }
        Err(error) if error.is_split() => {}
        Err(error) => return Err(error),
    }
    // There is none, or a value of another type, which `MGET` does not tell apart; or the slot is on its
    // way to another server, and each of the two may be here or there; or nothing has shown lately that
    // the server is the primary still. One that may not write refuses to `GETEX`, though that changes
    // nothing here.
    let [record, last_use] = names;
    let stored = get(servers, end, id, Effect::Reads, "GETEX", &[record]).await?;
    let used = get(servers, end, id, Effect::Reads, "GET", &[last_use]).await?;
    read(id, &stored.value, &used.value)
}

/// The same, if the server that should have it answers at once. Any executor may poll this.
pub(crate) async fn find_at_once(servers: &Servers, id: &KeyId) -> Option<Result<Option<Record>>> {
    let names = [servers.names().record(id), servers.names().last_use(id)];
    let answer = servers.try_pair(names).await?;
    if !answer.heard {
        return None;
    }
    let Value::Array(values) = answer.value else {
        return None;
    };
    match &*values {
        [stored @ Value::BulkString(_), used] => Some(read(id, stored, used)),
        _ => None,
    }
}

async fn get(
    servers: &Arc<Servers>,
    end: Instant,
    id: &KeyId,
    effect: Effect,
    command: &str,
    names: &[Vec<u8>],
) -> Result<Answer> {
    let mut get = cmd(command);
    get.arg(names);
    let name = names.first().map_or(&[][..], Vec::as_slice);
    let answer = servers
        .run_until(end, Request::new(name, effect, get))
        .await?;
    if !answer.heard {
        servers.hearing().lease().changed(id);
    }
    Ok(answer)
}

/// Puts both together.
fn read(id: &KeyId, stored: &Value, used: &Value) -> Result<Option<Record>> {
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
