//! Listing the events of a workspace.

use std::sync::Arc;

use keywright_core::{Environment, Event, EventId, EventPage, ListEvents, Workspace, store::Lease};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{index, orphan_entries::OrphanEntries, stored::parse_event_id};
use crate::{
    error::{Error, Result},
    names::Indexed,
    request::{Effect, Lane, Request},
    servers::Servers,
    walk_limit::WalkLimits,
};

/// The maximum number of events that are read in one step.
pub(super) const STEP: u64 = 128;

/// The state that all lists of the events of a store share.
pub(crate) struct EventListContext {
    pub(crate) servers: Arc<Servers>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) orphans: Arc<OrphanEntries<EventId>>,
    pub(crate) limits: Arc<WalkLimits>,
}

/// Returns one page.
pub(crate) async fn events(
    context: &EventListContext,
    workspace: &Workspace,
    environment: Environment,
    list: &ListEvents<EventId>,
) -> Result<EventPage<EventId>> {
    let _permit = context.limits.lists.acquire(Some(workspace)).await?;
    let names = context.servers.names();
    let index = match &list.key {
        Some(key) => names.events_of_key(key),
        None => names.index(Indexed::Events, workspace, environment, list.owner.as_ref()),
    };
    let is_listed = |event: &Event| list.selects(workspace, environment, event);
    // One event more than the page shows whether there is a next page.
    let wanted = u64::from(list.limit) + 1;
    let mut budget = context.servers.list_limit();
    let mut last = list.after;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let missing = wanted.saturating_sub(events.len() as u64);
        let step = missing.min(STEP).min(budget);
        let after = last.as_ref().map(EventId::as_bytes);
        let entries = index::entries_after(&index, after, list.order, step);
        let ids = index::read(&context.servers, &index, entries, parse_event_id).await?;
        let mut ended = (ids.len() as u64) < step;
        budget -= step;
        last = ids.last().copied().or(last);
        for (id, event) in read(&context.servers, &ids).await? {
            match event? {
                Some(event) if is_listed(&event) => events.push(event),
                // All events of a key are listed, or none.
                Some(_) if list.key.is_some() => ended = true,
                Some(_) => {}
                None if context.orphans.is_overdue(id, context.lease.now()) => {
                    index::remove_entry(&context.servers, &index, id.as_bytes()).await?;
                }
                None => {}
            }
        }
        if ended || events.len() as u64 >= wanted {
            return Ok(EventPage::cut(events, list.limit));
        }
        if budget == 0 {
            let mut page = EventPage::cut(events, list.limit);
            page.next = page.next.or(last);
            return Ok(page);
        }
    }
}

/// Reads events concurrently, and returns them in the same order. `None` stands for an event that
/// does not exist.
pub(super) async fn read(
    servers: &Arc<Servers>,
    ids: &[EventId],
) -> Result<Vec<(EventId, Result<Option<Event>>)>> {
    let mut running: JoinSet<_> = ids
        .iter()
        .copied()
        .enumerate()
        .map(|(position, id)| {
            let servers = Arc::clone(servers);
            async move { (position, id, read_one(&servers, &id).await) }
        })
        .collect();
    let mut events = Vec::with_capacity(ids.len());
    while let Some(result) = running.join_next().await {
        events.push(result.map_err(|_| Error::Stopped)?);
    }
    events.sort_unstable_by_key(|(position, ..)| *position);
    let events = events.into_iter().map(|(_, id, event)| (id, event));
    Ok(events.collect())
}

async fn read_one(servers: &Arc<Servers>, id: &EventId) -> Result<Option<Event>> {
    let name = servers.names().event(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let request = Request::new(&name, Effect::Read, get).in_lane(Lane::Walk);
    match servers.run(request).await?.value {
        Value::Nil => Ok(None),
        Value::BulkString(json) => serde_json::from_slice(&json)
            .ok()
            .filter(|event: &Event| event.id == *id)
            .map(Some)
            .ok_or(Error::Malformed("event")),
        _ => Err(Error::Malformed("event")),
    }
}
