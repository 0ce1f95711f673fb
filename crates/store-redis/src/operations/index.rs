//! The indexes of a workspace: sorted sets of the ids of its keys. One contains all keys and one
//! the `test` keys, and each owner has two such indexes of its keys.
//!
//! An entry is added to each index before the record is stored, and removed after the record is
//! deleted. So an entry may have no record, but each record has an entry in each of its indexes.
//!
//! The entries of a key are separate writes, because a script cannot write to two indexes while
//! their slot is being migrated and they are on different servers.
//!
//! Only lists and purges read and remove entries.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use keywright_core::{Environment, Key, KeyId, Owner, Workspace, store::Lease};
use redis::{Cmd, Value, cmd};
use tokio::task::JoinSet;

use super::{confirmation::Confirmation, stored::parse_id};
use crate::{
    error::{Error, Result},
    record::Header,
    request::{Effect, Lane, Request},
    servers::Servers,
};

/// After this time, a listing may have removed an entry that still has no record.
const SLOW: Duration = Duration::from_secs(10);

/// Adds a key to its indexes.
pub(super) async fn add(servers: &Arc<Servers>, key: &Key) -> Result<Confirmation> {
    let names = names(servers, &key.workspace, key.environment, key.owner.as_ref());
    let requests = names.map(|index| {
        let mut add = cmd("ZADD");
        add.arg(&index).arg(0).arg(key.id.as_bytes());
        Request::new(&index, Effect::Idempotent, add)
    });
    run_together(servers, requests.collect()).await
}

/// Adds a key to its indexes again, if its record was stored so long after it was first added that
/// a listing may have removed the entries.
pub(super) async fn add_again(
    servers: &Arc<Servers>,
    lease: &Lease,
    key: &Key,
    added_at: Instant,
) -> Result<Confirmation> {
    if lease.now().saturating_duration_since(added_at) > SLOW {
        add(servers, key).await
    } else {
        Ok(Confirmation::of_nothing())
    }
}

/// Removes a deleted key from its indexes.
pub(super) async fn remove(
    servers: &Arc<Servers>,
    id: &KeyId,
    header: &Header,
) -> Result<Confirmation> {
    let Header {
        workspace,
        environment,
        owner,
        ..
    } = header;
    let names = names(servers, workspace, *environment, owner.as_ref());
    let requests = names.map(|index| removal(&index, id));
    run_together(servers, requests.collect()).await
}

/// Removes an entry from one index.
pub(super) async fn remove_entry(servers: &Arc<Servers>, index: &[u8], id: &KeyId) -> Result<()> {
    servers.run(removal(index, id)).await?;
    Ok(())
}

fn removal(index: &[u8], id: &KeyId) -> Request {
    let mut remove = cmd("ZREM");
    remove.arg(index).arg(id.as_bytes());
    Request::new(index, Effect::Idempotent, remove).in_lane(Lane::Walk)
}

/// Returns the names of the indexes that contain a key: those of the callers that see it, for all
/// owners and for its own.
fn names<'a>(
    servers: &'a Servers,
    workspace: &'a Workspace,
    environment: Environment,
    owner: Option<&'a Owner>,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let callers = [Environment::Live, Environment::Test]
        .into_iter()
        .filter(move |caller| caller.covers(environment));
    callers.flat_map(move |caller| {
        let owners = iter::once(None).chain(owner.map(Some));
        owners.map(move |owner| servers.names().index(workspace, caller, owner))
    })
}

/// Runs writes concurrently. Most keys have one index, so one write runs in this task.
async fn run_together(servers: &Arc<Servers>, mut requests: Vec<Request>) -> Result<Confirmation> {
    let Some(own) = requests.pop() else {
        return Ok(Confirmation::of_nothing());
    };
    let mut running: JoinSet<_> = requests
        .into_iter()
        .map(|request| {
            let servers = Arc::clone(servers);
            async move { servers.run(request).await }
        })
        .collect();
    let mut confirmation = Confirmation::of(&servers.run(own).await?);
    while let Some(result) = running.join_next().await {
        let response = result.map_err(|_| Error::Stopped)??;
        confirmation = confirmation.and(Confirmation::of(&response));
    }
    Ok(confirmation)
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
