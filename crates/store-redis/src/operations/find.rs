//! Finding a record and its time of last use.

use std::{sync::Arc, time::Instant};

use keywright_core::{
    KeyId, Timestamp,
    store::{Lease, Record},
};
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    record::{self, Stored},
    request::{Effect, Lane, Request},
    servers::{Response, Servers},
};

/// Returns a record. If its server's changes are not tracked, invalidates copies of the record.
pub(super) async fn find(
    servers: &Arc<Servers>,
    lease: &Lease,
    id: &KeyId,
) -> Result<Option<Record>> {
    find_in_lane(servers, lease, Lane::Single, servers.deadline(), id).await
}

/// Returns a record, over the connection for walks.
pub(super) async fn find_in_walk(
    servers: &Arc<Servers>,
    lease: &Lease,
    id: &KeyId,
) -> Result<Option<Record>> {
    find_in_lane(servers, lease, Lane::Walk, servers.deadline(), id).await
}

/// Returns a record, with a given deadline.
pub(crate) async fn find_until(
    servers: &Arc<Servers>,
    lease: &Lease,
    deadline: Instant,
    id: &KeyId,
) -> Result<Option<Record>> {
    find_in_lane(servers, lease, Lane::Single, deadline, id).await
}

async fn find_in_lane(
    servers: &Arc<Servers>,
    lease: &Lease,
    lane: Lane,
    deadline: Instant,
    id: &KeyId,
) -> Result<Option<Record>> {
    let reader = Reader {
        servers,
        lease,
        lane,
        deadline,
        id,
    };
    let names = [servers.names().record(id), servers.names().last_use(id)];
    match reader.read("MGET", &names, Effect::ReadTogether).await {
        Ok(response) => {
            let Value::Array(values) = response.value else {
                return Err(Error::Malformed("reply to MGET"));
            };
            if let [stored @ Value::BulkString(_), last_use] = &*values
                && response.tracked
            {
                return decode(id, stored, last_use);
            }
        }
        Err(error) if error.is_split() => {}
        Err(error) => return Err(error),
    }
    // One of these is the case, so read the names one by one:
    // * `MGET` found nothing. It returns the same for a value of another type, which is an error.
    // * The slot is being migrated, and each name may be on either server.
    // * Nothing has recently shown that the server is still the primary. `GETEX` changes nothing
    //   here, but Redis treats it as a write, so a server that may not write rejects it.
    let [record, last_use] = names;
    let stored = reader.read("GETEX", &[record], Effect::Read).await?;
    let last_use = reader.read("GET", &[last_use], Effect::Read).await?;
    decode(id, &stored.value, &last_use.value)
}

/// Returns a record if its server replies at once and its changes are tracked, or else `None`. Any
/// executor may poll this future.
pub(crate) async fn find_at_once(servers: &Servers, id: &KeyId) -> Option<Result<Option<Record>>> {
    let names = [servers.names().record(id), servers.names().last_use(id)];
    let response = servers.try_read_pair(names).await?;
    if !response.tracked {
        return None;
    }
    let Value::Array(values) = response.value else {
        return None;
    };
    match &*values {
        [stored @ Value::BulkString(_), last_use] => Some(decode(id, stored, last_use)),
        _ => None,
    }
}

struct Reader<'a> {
    servers: &'a Arc<Servers>,
    lease: &'a Lease,
    lane: Lane,
    deadline: Instant,
    id: &'a KeyId,
}

impl Reader<'_> {
    async fn read(&self, command: &str, names: &[Vec<u8>], effect: Effect) -> Result<Response> {
        let mut get = cmd(command);
        get.arg(names);
        let name = names.first().map_or(&[][..], Vec::as_slice);
        let request = Request::new(name, effect, get).in_lane(self.lane);
        let response = self.servers.run_until(self.deadline, request).await?;
        if !response.tracked {
            self.lease.changed(self.id);
        }
        Ok(response)
    }
}

fn decode(id: &KeyId, stored: &Value, last_use: &Value) -> Result<Option<Record>> {
    let bytes = match stored {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => bytes,
        _ => return Err(Error::Malformed("record")),
    };
    match record::decode(*id, bytes)? {
        Stored::Tombstone => Ok(None),
        Stored::Record(mut record) => {
            record.key.last_used_at = decode_last_use(last_use)?;
            Ok(Some(*record))
        }
    }
}

fn decode_last_use(last_use: &Value) -> Result<Option<Timestamp>> {
    match last_use {
        Value::Nil => Ok(None),
        Value::BulkString(text) => str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .and_then(|millis| Timestamp::from_millis(millis).ok())
            .map(Some)
            .ok_or(Error::Malformed("time of last use")),
        _ => Err(Error::Malformed("time of last use")),
    }
}
