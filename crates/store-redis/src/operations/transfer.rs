//! Copying all keys to or from another store.

use std::{collections::BTreeSet, sync::Arc};

use keywright_core::{
    Environment, Event, EventId, EventOrder, KeyId, Timestamp, Workspace,
    store::{
        Alias, Import, Lease, Reactivation, Record, Reservation, Stage, StoreErrorKind, TransferId,
    },
};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{
    alias::free_alias,
    confirmation::Confirmation,
    events::read as read_events,
    find::find_in_walk,
    index::{self, Entries, Room},
    is_empty::is_empty,
    new_event::NewEvent,
    reserve::{decode_binding, encode_binding},
    run_script::run_script,
    scan::Scan,
    settings::{claim, setting},
    stored::{encode, parse_event_id, parse_id},
};
use crate::{
    error::{Error, Result},
    names::Indexed,
    request::{Effect, Lane, Request},
    script::{self, Call, code},
    servers::Servers,
};

/// The number of workspaces in a page. Each page scans all names.
const WORKSPACES: usize = 10_000;

/// The maximum number of entries that are read in one step.
const STEP: u64 = 512;

/// The maximum number of records, or of events, that are written concurrently.
const CONCURRENCY: usize = 128;

/// Gives the store an id, unless it has one, and returns its id.
pub(crate) async fn identify(servers: &Arc<Servers>, candidate: &TransferId) -> Result<TransferId> {
    let id = claim(servers, "id", candidate.as_str()).await?;
    TransferId::parse(&id).ok_or(Error::Malformed("id of the store"))
}

/// Returns the stage of the store.
pub(crate) async fn stage(servers: &Arc<Servers>) -> Result<Stage> {
    let claim = setting(servers, "prefix").await?;
    Stage::parse(claim.as_deref(), false).ok_or(Error::Malformed("prefix"))
}

/// Moves the store from one stage to another. It has no stage in which it is sealed.
pub(crate) async fn set_stage(servers: &Arc<Servers>, from: &Stage, to: &Stage) -> Result<()> {
    let has_keys = *from == Stage::Unclaimed && !is_empty(servers).await?;
    if has_keys || matches!((from, to), (Stage::Sealed(_), _) | (_, Stage::Sealed(_))) {
        return Err(StoreErrorKind::Conflict.into());
    }
    let claims = [from, to].map(|stage| stage.claim().unwrap_or_default().into_bytes());
    let (code, confirmation) = run_script(
        servers,
        &script::SET_CLAIM,
        vec![servers.names().setting("prefix")],
        claims.into(),
        Effect::Idempotent,
    )
    .await?;
    if code != code::DONE {
        return Err(StoreErrorKind::Conflict.into());
    }
    confirmation.check(servers, ())
}

/// Returns the first workspaces after one. Scans the names of all indexes, and holds no more than a
/// page in memory.
pub(crate) async fn workspaces(
    servers: &Arc<Servers>,
    after: Option<&Workspace>,
) -> Result<Vec<Workspace>> {
    let mut first: BTreeSet<Workspace> = BTreeSet::new();
    for prefix in servers.names().index_prefixes() {
        for node in servers.primaries() {
            let mut scan = Scan::new(node, prefix.clone());
            while let Some(names) = scan.next(servers).await? {
                let found = names.iter().filter_map(|name| {
                    let name = str::from_utf8(name).ok()?.strip_prefix(&prefix)?;
                    Workspace::parse(name.strip_prefix('{')?.strip_suffix('}')?).ok()
                });
                first.extend(found.filter(|workspace| Some(workspace) > after));
                while first.len() > WORKSPACES {
                    first.pop_last();
                }
            }
        }
    }
    Ok(first.into_iter().collect())
}

/// Returns up to `limit` records of a workspace after an id, in the order of their ids.
pub(crate) async fn records(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    workspace: &Workspace,
    after: Option<KeyId>,
    limit: u32,
) -> Result<Vec<Record>> {
    let name = servers
        .names()
        .index(Indexed::Keys, workspace, Environment::Live, None);
    let mut last = after;
    loop {
        let after = last.as_ref().map(KeyId::as_bytes);
        let step = STEP.min(limit.into());
        let entries = index::entries_after(&name, after, EventOrder::OldestFirst, step);
        let ids = index::read(servers, &name, entries, parse_id).await?;
        last = ids.last().copied();
        let mut finds = JoinSet::new();
        for id in &ids {
            let (servers, lease, id) = (Arc::clone(servers), Arc::clone(lease), *id);
            finds.spawn(async move {
                let found = find_in_walk(&servers, &lease, &id).await;
                found.map_err(|error| Error::unreadable(&id, error))
            });
        }
        let mut records = Vec::with_capacity(ids.len());
        while let Some(found) = finds.join_next().await {
            // An entry of another workspace is left by an insert whose id was taken.
            let found = found.map_err(|_| Error::Stopped)??;
            records.extend(found.filter(|record| record.key.workspace == *workspace));
        }
        if !records.is_empty() || ids.is_empty() {
            records.sort_unstable_by_key(|record| record.key.id);
            return Ok(records);
        }
    }
}

/// Returns up to `limit` events of a workspace after an id, in the order of their ids.
pub(crate) async fn events(
    servers: &Arc<Servers>,
    workspace: &Workspace,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>> {
    let name = servers
        .names()
        .index(Indexed::Events, workspace, Environment::Live, None);
    let mut last = after;
    loop {
        let after = last.as_ref().map(EventId::as_bytes);
        let step = STEP.min(limit.into());
        let entries = index::entries_after(&name, after, EventOrder::OldestFirst, step);
        let ids = index::read(servers, &name, entries, parse_event_id).await?;
        last = ids.last().copied();
        let mut events = Vec::with_capacity(ids.len());
        for (id, event) in read_events(servers, &ids).await? {
            let event = event.map_err(|error| Error::unreadable(&id, error))?;
            events.extend(event.filter(|event| event.workspace == *workspace));
        }
        if !events.is_empty() || ids.is_empty() {
            return Ok(events);
        }
    }
}

/// Returns the reservations after a key whose keys begin with the same byte, in the order of their
/// keys.
pub(crate) async fn reservations(
    servers: &Arc<Servers>,
    after: Option<[u8; 32]>,
) -> Result<Vec<Reservation>> {
    let names = servers.names();
    let first_byte = after.map_or(0, |[first, ..]| first);
    for byte in first_byte..=u8::MAX {
        let hash = [byte; 32];
        let call = Call {
            script: &script::EXPORT_RESERVATIONS,
            keys: vec![names.reservations(&hash), names.reservation_ends(&hash)],
            arguments: Vec::new(),
        };
        let request = Request::script(call, Effect::Read).in_lane(Lane::Walk);
        let Value::Array(parts) = servers.run(request).await?.value else {
            return Err(Error::Malformed("script reply"));
        };
        let mut page = Vec::with_capacity(parts.len() / 3);
        for part in parts.chunks(3) {
            page.push(reservation(part).ok_or(Error::Malformed("reservation"))?);
        }
        page.retain(|reservation| Some(reservation.key) > after);
        if !page.is_empty() {
            page.sort_unstable_by_key(|reservation| reservation.key);
            return Ok(page);
        }
    }
    Ok(Vec::new())
}

fn reservation(parts: &[Value]) -> Option<Reservation> {
    let [
        Value::BulkString(key),
        Value::BulkString(binding),
        Value::BulkString(until),
    ] = parts
    else {
        return None;
    };
    let (fingerprint, id) = decode_binding(binding)?;
    let until = str::from_utf8(until).ok()?.parse().ok()?;
    Some(Reservation::new(
        key.as_slice().try_into().ok()?,
        fingerprint,
        id,
        Timestamp::from_millis(until).ok()?,
    ))
}

/// Writes an import. Each record and each event is written in a separate step.
pub(crate) async fn import(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    receiving: &Stage,
    import: Import,
) -> Result<()> {
    if stage(servers).await? != *receiving {
        return Err(StoreErrorKind::Conflict.into());
    }
    let mut confirmation = Confirmation::of_nothing();
    let mut writes = JoinSet::new();
    let mut records = import.records.into_iter();
    let mut purged = import.purged_records.into_iter();
    let mut new_events = import.events.into_iter();
    let mut purged_events = import.purged_events.into_iter();
    let mut reservations = import.reservations.into_iter();
    loop {
        while writes.len() < CONCURRENCY {
            let (servers, lease) = (Arc::clone(servers), Arc::clone(lease));
            if let Some(record) = records.next() {
                writes.spawn(async move { import_record(&servers, &lease, &record).await });
            } else if let Some(record) = purged.next() {
                writes.spawn(async move { delete_record(&servers, &lease, &record).await });
            } else if let Some(event) = new_events.next() {
                writes.spawn(async move { import_event(&servers, &lease, &event).await });
            } else if let Some(event) = purged_events.next() {
                writes.spawn(async move {
                    NewEvent::new(&servers, &event)?.delete(&servers).await?;
                    Ok(Confirmation::of_nothing())
                });
            } else if let Some(reservation) = reservations.next() {
                writes.spawn(async move { import_reservation(&servers, &reservation).await });
            } else {
                break;
            }
        }
        match writes.join_next().await {
            Some(written) => {
                confirmation = confirmation.and(written.map_err(|_| Error::Stopped)??);
            }
            None => return confirmation.check(servers, ()),
        }
    }
}

/// Adds a record to the indexes and to the keys that its receivers have received, and stores it.
async fn import_record(
    servers: &Arc<Servers>,
    lease: &Lease,
    record: &Record,
) -> Result<Confirmation> {
    let key = &record.key;
    let bytes = encode(record)?;
    let mut confirmation =
        index::add(servers, &[Entries::of_key(servers, key)], Room::Required).await?;
    for receiver in [key.parent, key.rotated_by].into_iter().flatten() {
        let added = change_received(servers, "SADD", &receiver, &key.id).await?;
        confirmation = confirmation.and(added);
    }
    if let Some(alias) = &record.alias {
        confirmation = confirmation.and(set_alias(servers, alias, &key.id).await?);
    }
    let last_use = key.last_used_at.map(|time| time.as_millis().to_string());
    let names = servers.names();
    let stored = run_script(
        servers,
        &script::IMPORT,
        vec![names.record(&key.id), names.last_use(&key.id)],
        vec![bytes, last_use.unwrap_or_default().into_bytes()],
        Effect::Idempotent,
    )
    .await;
    // Invalidate copies even if the reply was lost: the record may be changed.
    lease.changed(&key.id);
    let (code, stored) = stored?;
    if code != code::DONE {
        return Err(Reactivation::new(key.id).into());
    }
    Ok(confirmation.and(stored))
}

/// Deletes a record, and then its entries.
async fn delete_record(
    servers: &Arc<Servers>,
    lease: &Lease,
    record: &Record,
) -> Result<Confirmation> {
    let key = &record.key;
    let names = servers.names();
    let name = names.record(&key.id);
    let mut delete = cmd("DEL");
    delete
        .arg(&name)
        .arg(names.last_use(&key.id))
        .arg(names.received(&key.id));
    let deleted = servers
        .run(Request::new(&name, Effect::Idempotent, delete))
        .await;
    lease.changed(&key.id);
    let mut confirmation = Confirmation::of(&deleted?);
    for receiver in [key.parent, key.rotated_by].into_iter().flatten() {
        let removed = change_received(servers, "SREM", &receiver, &key.id).await?;
        confirmation = confirmation.and(removed);
    }
    if let Some(alias) = &record.alias {
        confirmation = confirmation.and(free_alias(servers, alias, &key.id).await?);
    }
    let removed = Entries::of_key(servers, key).remove(servers).await?;
    Ok(confirmation.and(removed))
}

/// Adds a key to those that another one has received, or removes it there.
async fn change_received(
    servers: &Arc<Servers>,
    command: &str,
    receiver: &KeyId,
    id: &KeyId,
) -> Result<Confirmation> {
    let name = servers.names().received(receiver);
    let mut change = cmd(command);
    change.arg(&name).arg(id.as_bytes());
    let response = servers
        .run(Request::new(&name, Effect::Idempotent, change))
        .await?;
    Ok(Confirmation::of(&response))
}

/// Gives an alias to a key, even if another key has it.
async fn set_alias(servers: &Arc<Servers>, alias: &Alias, id: &KeyId) -> Result<Confirmation> {
    let name = servers.names().alias(alias);
    let mut set = cmd("SET");
    set.arg(&name).arg(id.as_bytes());
    let response = servers
        .run(Request::new(&name, Effect::Idempotent, set))
        .await?;
    Ok(Confirmation::of(&response))
}

async fn import_event(
    servers: &Arc<Servers>,
    lease: &Lease,
    event: &Event,
) -> Result<Confirmation> {
    let event = NewEvent::new(servers, event)?;
    let added = event.add_entries(servers, Room::Required).await?;
    Ok(added.and(event.store(servers, lease).await?))
}

async fn import_reservation(
    servers: &Arc<Servers>,
    reservation: &Reservation,
) -> Result<Confirmation> {
    let names = servers.names();
    let (bindings, ends) = (
        names.reservations(&reservation.key),
        names.reservation_ends(&reservation.key),
    );
    let mut bind = cmd("HSET");
    bind.arg(&bindings)
        .arg(&reservation.key)
        .arg(encode_binding(reservation));
    let mut end = cmd("ZADD");
    end.arg(&ends)
        .arg(reservation.until.as_millis())
        .arg(&reservation.key);
    let bound = servers
        .run(Request::new(&bindings, Effect::Idempotent, bind))
        .await?;
    let ended = servers
        .run(Request::new(&ends, Effect::Idempotent, end))
        .await?;
    Ok(Confirmation::of(&bound).and(Confirmation::of(&ended)))
}
