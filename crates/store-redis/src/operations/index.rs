//! The indexes of a workspace: sorted sets of the ids of its keys, and of the ids of their events.
//! For each of the two, one index contains all ids and one those of `test` keys, and each owner has
//! two such indexes of its keys.
//!
//! An entry is added to each index before the record or event is stored, and removed after the
//! record is deleted. So an entry may have no record, but each record has an entry in each of its
//! indexes.
//!
//! The entries of a key are separate writes, because a script cannot write to two indexes while
//! their slot is being migrated and they are on different servers.
//!
//! Only lists and purges read entries. They also remove those that have no record.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use keywright_core::{
    Environment, Event, EventId, EventOrder, Key, KeyId, Owner, Workspace, store::Lease,
};
use redis::{Cmd, Value, cmd};

use super::confirmation::Confirmation;
use crate::{
    error::{Error, Result},
    names::Indexed,
    record::Header,
    request::{Effect, Lane, Request},
    script::{self, Call},
    servers::Servers,
};

/// After this time, a listing may have removed an entry that still has no record.
const SLOW: Duration = Duration::from_secs(10);

/// The id of a key or an event.
pub(super) type Id = [u8; KeyId::LENGTH];

/// The entries of a key or an event in all indexes that contain it.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    id: Id,
    indexes: Vec<Vec<u8>>,
}

impl Entries {
    pub(super) fn of_key(servers: &Servers, key: &Key) -> Self {
        let (workspace, owner) = (&key.workspace, key.owner.as_ref());
        Self {
            id: *key.id.as_bytes(),
            indexes: names(servers, Indexed::Keys, workspace, key.environment, owner).collect(),
        }
    }

    pub(super) fn of_event(servers: &Servers, event: &Event) -> Self {
        let (workspace, owner) = (&event.workspace, event.owner.as_ref());
        Self {
            id: *event.id.as_bytes(),
            indexes: names(
                servers,
                Indexed::Events,
                workspace,
                event.environment,
                owner,
            )
            .collect(),
        }
    }

    /// The entries of a deleted key.
    pub(super) fn of_header(servers: &Servers, id: &KeyId, header: &Header) -> Self {
        let (workspace, owner) = (&header.workspace, header.owner.as_ref());
        Self {
            id: *id.as_bytes(),
            indexes: names(servers, Indexed::Keys, workspace, header.environment, owner).collect(),
        }
    }

    /// The entry in one index.
    pub(super) fn in_index(index: Vec<u8>, id: Id) -> Self {
        Self {
            id,
            indexes: vec![index],
        }
    }

    /// Returns the entries in other indexes than this one.
    pub(super) fn except(mut self, index: &[u8]) -> Self {
        self.indexes.retain(|name| name != index);
        self
    }

    /// Returns the name of each index, with the id of the entry in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Id)> {
        self.indexes.iter().map(|index| (&**index, &self.id))
    }

    fn additions(&self, room: Room) -> impl Iterator<Item = Request> {
        self.indexes
            .iter()
            .map(move |index| addition(index, &self.id, room))
    }

    /// Removes the entries.
    pub(super) async fn remove(&self, servers: &Arc<Servers>) -> Result<Confirmation> {
        let requests = self.indexes.iter().map(|index| removal(index, [&self.id]));
        run_together(servers, requests.collect()).await
    }
}

/// Whether a write is accepted by a server whose memory is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// The server rejects the write.
    Required,
    /// The server accepts the write. For changes that must always be possible, such as a
    /// revocation.
    NotRequired,
}

/// Adds entries.
pub(super) async fn add(
    servers: &Arc<Servers>,
    entries: &[Entries],
    room: Room,
) -> Result<Confirmation> {
    let requests = entries.iter().flat_map(|entries| entries.additions(room));
    run_together(servers, requests.collect()).await
}

/// Adds entries again, if their record or event was stored so long after they were first added that
/// a listing may have removed them.
pub(super) async fn add_again(
    servers: &Arc<Servers>,
    lease: &Lease,
    entries: &[Entries],
    added_at: Instant,
) -> Result<Confirmation> {
    if lease.now().saturating_duration_since(added_at) > SLOW {
        add(servers, entries, Room::NotRequired).await
    } else {
        Ok(Confirmation::of_nothing())
    }
}

/// Returns the request that adds an entry to one index.
pub(super) fn addition(index: &[u8], id: &Id, room: Room) -> Request {
    match room {
        Room::Required => {
            let mut add = cmd("ZADD");
            add.arg(index).arg(0).arg(id);
            Request::new(index, Effect::Idempotent, add)
        }
        Room::NotRequired => {
            let call = Call {
                script: &script::ADD_ENTRY,
                keys: vec![index.into()],
                arguments: vec![id.into()],
            };
            Request::script(call, Effect::Idempotent)
        }
    }
}

/// Returns the request that removes entries from one index.
pub(super) fn removal<'a>(index: &[u8], ids: impl IntoIterator<Item = &'a Id>) -> Request {
    let mut remove = cmd("ZREM");
    remove.arg(index);
    for id in ids {
        remove.arg(id);
    }
    Request::new(index, Effect::Idempotent, remove).in_lane(Lane::Walk)
}

/// Removes an entry from one index.
pub(super) async fn remove_entry(servers: &Arc<Servers>, index: &[u8], id: &Id) -> Result<()> {
    servers.run(removal(index, [id])).await?;
    Ok(())
}

/// Returns the names of the indexes that contain a key or its events: those of the callers that see
/// the key, for all owners and for its own.
fn names<'a>(
    servers: &'a Servers,
    indexed: Indexed,
    workspace: &'a Workspace,
    environment: Environment,
    owner: Option<&'a Owner>,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let callers = [Environment::Live, Environment::Test]
        .into_iter()
        .filter(move |caller| caller.covers(environment));
    callers.flat_map(move |caller| {
        let owners = iter::once(None).chain(owner.map(Some));
        owners.map(move |owner| servers.names().index(indexed, workspace, caller, owner))
    })
}

/// Runs writes concurrently. All of them are queued before the first is sent, so that they are sent
/// together.
async fn run_together(servers: &Arc<Servers>, requests: Vec<Request>) -> Result<Confirmation> {
    let running = requests.into_iter().map(|request| servers.run(request));
    let responses = try_join_all(running).await?;
    let confirmations = responses.iter().map(Confirmation::of);
    Ok(confirmations.fold(Confirmation::of_nothing(), Confirmation::and))
}

/// Returns the command that reads the entries after an id, or the first in the order if it is
/// `None`.
pub(super) fn entries_after(index: &[u8], id: Option<&Id>, order: EventOrder, count: u64) -> Cmd {
    match order {
        EventOrder::NewestFirst => {
            entries_between(index, beyond(id, b"+"), b"-".into(), true, count)
        }
        EventOrder::OldestFirst => {
            entries_between(index, beyond(id, b"-"), b"+".into(), false, count)
        }
    }
}

/// Returns the command that reads the entries after an id and before another, oldest first.
pub(super) fn entries_before(index: &[u8], after: Option<&Id>, end: &EventId, count: u64) -> Cmd {
    let end = beyond(Some(end.as_bytes()), b"");
    entries_between(index, beyond(after, b"-"), end, false, count)
}

/// Returns the end of a range that does not contain the id, or `default` if there is none.
fn beyond(id: Option<&Id>, default: &[u8]) -> Vec<u8> {
    id.map_or(default.into(), |id| [b"(", id.as_slice()].concat())
}

fn entries_between(index: &[u8], from: Vec<u8>, to: Vec<u8>, reverse: bool, count: u64) -> Cmd {
    let mut range = cmd("ZRANGE");
    range.arg(index).arg(from).arg(to).arg("BYLEX");
    if reverse {
        range.arg("REV");
    }
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
pub(super) async fn read<T>(
    servers: &Arc<Servers>,
    index: &[u8],
    entries: Cmd,
    parse: impl FnMut(&Value) -> Option<T>,
) -> Result<Vec<T>> {
    let request = Request::new(index, Effect::Read, entries).in_lane(Lane::Walk);
    let Value::Array(entries) = servers.run(request).await?.value else {
        return Err(Error::Malformed("reply to ZRANGE"));
    };
    entries
        .iter()
        .map(parse)
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
