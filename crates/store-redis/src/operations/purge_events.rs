//! Deleting old events.
//!
//! The index of all events of a workspace leads to them. An event is deleted in these steps, so
//! that a purge that is interrupted leaves nothing that a later purge does not find:
//!
//! 1. Remove its entries in the indexes of `test` keys and of its owner, and in the index of its
//!    key.
//! 2. Delete the event.
//! 3. Remove its entry in the index of the workspace.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use keywright_core::{
    Environment, Event, EventId,
    store::{Lease, PurgeEvents},
};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{
    confirmation::Confirmation,
    events::{self, STEP},
    index::{self, Entries},
    orphan_entries::OrphanEntries,
    scan::Scan,
    stored::parse_event_id,
};
use crate::{
    error::{Error, Result},
    names::Indexed,
    node::Node,
    request::{Effect, Lane, Request},
    servers::Servers,
    walk_limit::WalkLimit,
};

/// The state that all purges of the events of a store share.
pub(crate) struct EventPurgeContext {
    pub(crate) servers: Arc<Servers>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) orphans: Arc<OrphanEntries<EventId>>,
    pub(crate) position: Arc<PurgePosition>,
}

/// Where the last purge of all workspaces has reached its limit, so that the next call does not
/// scan the same names again.
#[derive(Default)]
pub(crate) struct PurgePosition(Mutex<Option<IndexScan>>);

impl PurgePosition {
    fn take(&self) -> Option<IndexScan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, scan: IndexScan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(scan);
    }
}

/// Deletes events until the purge has reached its limit or no events are left. Returns how many
/// were deleted.
///
/// Begins no further step once `caller` is dropped.
///
/// A purge of all workspaces scans all servers for the indexes. If the result is 0, the call has
/// scanned all names. On a cluster, it may miss an index that moves to another server in the
/// meantime. A later purge finds it.
pub(crate) async fn purge_events(
    context: &EventPurgeContext,
    limit: &WalkLimit,
    purge: &PurgeEvents,
    caller: Weak<()>,
) -> Result<u64> {
    let _permit = limit.acquire(purge.workspace.as_ref()).await?;
    let servers = &context.servers;
    let mut run = PurgeRun {
        context,
        end: EventId::first_at(purge.before),
        missing: purge.limit.into(),
        caller,
    };
    match &purge.workspace {
        Some(workspace) => {
            let names = servers.names();
            let index = names.index(Indexed::Events, workspace, Environment::Live, None);
            run.purge_index(&index).await?;
        }
        None => run.purge_all().await?,
    }
    Ok(u64::from(purge.limit) - run.missing)
}

/// The progress of one call.
struct PurgeRun<'a> {
    context: &'a EventPurgeContext,
    /// No event with this id or a later one is deleted.
    end: EventId,
    /// How many events may still be deleted.
    missing: u64,
    /// The other end is dropped when the caller no longer waits for the purge.
    caller: Weak<()>,
}

impl PurgeRun<'_> {
    fn is_finished(&self) -> bool {
        self.missing == 0 || self.caller.strong_count() == 0
    }

    /// Continues the scan of the last call. If nothing is left after its position, scans all names.
    async fn purge_all(&mut self) -> Result<()> {
        let limit = self.missing;
        if let Some(scan) = self.context.position.take() {
            self.purge_scan(scan).await?;
            if self.missing < limit || self.is_finished() {
                return Ok(());
            }
        }
        self.purge_scan(IndexScan::new(&self.context.servers)).await
    }

    async fn purge_scan(&mut self, mut scan: IndexScan) -> Result<()> {
        while let Some(index) = scan.next(&self.context.servers).await? {
            self.purge_index(&index).await?;
            if self.is_finished() {
                scan.found.push(index);
                self.context.position.set(scan);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Deletes events in the index of a workspace, oldest first.
    async fn purge_index(&mut self, index: &[u8]) -> Result<()> {
        let mut last: Option<EventId> = None;
        while !self.is_finished() {
            let after = last.as_ref().map(EventId::as_bytes);
            let entries = index::entries_before(index, after, &self.end, self.missing.min(STEP));
            let ids = index::read(&self.context.servers, index, entries, parse_event_id).await?;
            last = ids.last().copied();
            if last.is_none() {
                break;
            }
            self.delete(index, &ids).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, index: &[u8], ids: &[EventId]) -> Result<()> {
        let EventPurgeContext {
            servers,
            lease,
            orphans,
            ..
        } = self.context;
        let mut deletions = JoinSet::new();
        let mut removed = Vec::new();
        for (id, event) in events::read(servers, ids).await? {
            let event = match event {
                Ok(Some(event)) => Some(event),
                // The entries of a change that may still be in progress.
                Ok(None) if !orphans.is_overdue(id, lease.now()) => continue,
                Ok(None) => None,
                // A damaged event is deleted as well. Lists remove its other entries.
                Err(error) if error.is_corrupt() => None,
                Err(error) => return Err(error),
            };
            removed.push(id);
            let (servers, index) = (Arc::clone(servers), index.to_vec());
            deletions.spawn(async move { delete_one(&servers, &index, &id, event).await });
        }
        let mut confirmation = Confirmation::of_nothing();
        while let Some(result) = deletions.join_next().await {
            let (deleted, confirmed) = result.map_err(|_| Error::Stopped)??;
            self.missing = self.missing.saturating_sub(deleted);
            confirmation = confirmation.and(confirmed);
        }
        // If a replica that has not confirmed a deletion takes over, the entry leads to the event.
        confirmation.check(servers, ())?;
        if !removed.is_empty() {
            let removed = removed.iter().map(EventId::as_bytes);
            let response = servers.run(index::removal(index, removed)).await?;
            Confirmation::of(&response).check(servers, ())?;
        }
        Ok(())
    }
}

/// Deletes an event that is in the index of a workspace, and its other entries. Returns the number
/// of deleted events.
async fn delete_one(
    servers: &Arc<Servers>,
    index: &[u8],
    id: &EventId,
    event: Option<Event>,
) -> Result<(u64, Confirmation)> {
    let mut confirmation = Confirmation::of_nothing();
    if let Some(event) = event {
        let others = Entries::of_event(servers, &event).except(index);
        confirmation = others.remove(servers).await?;
        let index_of_key = servers.names().events_of_key(&event.key);
        let response = servers
            .run(index::removal(&index_of_key, [id.as_bytes()]))
            .await?;
        confirmation = confirmation.and(Confirmation::of(&response));
    }
    let name = servers.names().event(id);
    let mut delete = cmd("DEL");
    delete.arg(&name);
    let request = Request::new(&name, Effect::Once, delete).in_lane(Lane::Walk);
    let response = servers.run(request).await?;
    match response.value {
        Value::Int(deleted) => Ok((
            deleted.unsigned_abs(),
            confirmation.and(Confirmation::of(&response)),
        )),
        _ => Err(Error::Malformed("reply to DEL")),
    }
}

/// A scan of all servers for the indexes of the events of a workspace.
struct IndexScan {
    /// The servers that are not scanned yet.
    nodes: Vec<Arc<Node>>,
    scan: Option<Scan>,
    /// Names that the scan has found, and that are not purged yet.
    found: Vec<Vec<u8>>,
}

impl IndexScan {
    fn new(servers: &Servers) -> Self {
        Self {
            nodes: servers.primaries(),
            scan: None,
            found: Vec::new(),
        }
    }

    /// Returns the name of an index, or `None` at the end.
    async fn next(&mut self, servers: &Servers) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(name) = self.found.pop() {
                return Ok(Some(name));
            }
            if let Some(scan) = &mut self.scan {
                match scan.next(servers).await? {
                    Some(found) => self.found = found,
                    None => self.scan = None,
                }
            } else if let Some(node) = self.nodes.pop() {
                let prefix = servers.names().event_index_prefix();
                self.scan = Some(Scan::new(node, prefix));
            } else {
                return Ok(None);
            }
        }
    }
}
