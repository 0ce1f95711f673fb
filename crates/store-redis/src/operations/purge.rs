//! Deleting the records of keys that were revoked, or that expired, before a given time.

use std::sync::{Arc, Weak};

use keywright_core::{
    Environment, EventOrder, KeyId,
    store::{Lease, Purge},
};
use redis::Value;
use tokio::task::JoinSet;

use super::{
    confirmation::Confirmation,
    descendant_walk::DescendantWalk,
    index,
    purge_progress::PurgeProgress,
    scan::Scan,
    stored::{parse_id, read_bytes_in_walk},
};
use crate::{
    error::{Error, Result},
    names::{Indexed, Names},
    record,
    servers::Servers,
    walk_limit::WalkLimit,
};

/// The maximum number of concurrent walks.
const CONCURRENCY: usize = 64;

/// The maximum number of index entries that are read in one step.
const STEP: u64 = 512;

/// Deletes records until the purge has reached its limit or no records are left. Returns how many
/// were deleted.
///
/// Deletes no further record once `caller` is dropped.
///
/// A purge of one workspace reads its index. A purge of all workspaces scans all servers. Each
/// record is deleted after its descendants. If the result is 0, the purge has visited all records.
/// On a cluster, it may miss a record that moves to another server in the meantime. A later purge
/// deletes that record.
pub(crate) async fn purge(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    limit: &WalkLimit,
    purge: Arc<Purge>,
    caller: Weak<()>,
) -> Result<u64> {
    let _permit = limit.acquire(purge.workspace.as_ref()).await?;
    let mut tasks = PurgeTasks::new(
        servers,
        lease,
        PurgeProgress::new(Arc::clone(&purge), caller),
    );
    match &purge.workspace {
        Some(workspace) => {
            // A `live` caller sees all keys.
            let name = servers
                .names()
                .index(Indexed::Keys, workspace, Environment::Live, None);
            let mut last: Option<KeyId> = None;
            loop {
                // Read from the newest entry on. An entry is added before its record and removed
                // after it, so no record is missed.
                let after = last.as_ref().map(KeyId::as_bytes);
                let entries = index::entries_after(&name, after, EventOrder::NewestFirst, STEP);
                let ids = index::read(servers, &name, entries, parse_id).await?;
                last = ids.last().copied();
                if ids.is_empty() || !tasks.visit(ids).await? {
                    break;
                }
            }
        }
        None => {
            'all: for node in servers.primaries() {
                let mut scan = Scan::new(node, servers.names().record_prefix());
                while let Some(names) = scan.next(servers).await? {
                    let ids = names.iter().filter_map(|name| Names::id_of_record(name));
                    if !tasks.visit(ids.collect()).await? {
                        break 'all;
                    }
                }
            }
        }
    }
    tasks.finish().await
}

/// The running walks of a purge, and the confirmation of those that have ended.
struct PurgeTasks<'a> {
    servers: &'a Arc<Servers>,
    lease: &'a Arc<Lease>,
    progress: Arc<PurgeProgress>,
    walks: JoinSet<Result<Confirmation>>,
    confirmation: Confirmation,
}

impl<'a> PurgeTasks<'a> {
    fn new(servers: &'a Arc<Servers>, lease: &'a Arc<Lease>, progress: PurgeProgress) -> Self {
        Self {
            servers,
            lease,
            progress: Arc::new(progress),
            walks: JoinSet::new(),
            confirmation: Confirmation::of_nothing(),
        }
    }

    /// Starts a walk from each of these keys. Returns whether the purge may delete more.
    async fn visit(&mut self, ids: Vec<KeyId>) -> Result<bool> {
        for id in ids {
            if self.progress.is_finished() {
                return Ok(false);
            }
            if self.walks.len() == CONCURRENCY {
                self.join().await?;
            }
            let (servers, lease) = (Arc::clone(self.servers), Arc::clone(self.lease));
            let progress = Arc::clone(&self.progress);
            self.walks
                .spawn(async move { purge_one(&servers, &lease, &progress, id).await });
        }
        Ok(!self.progress.is_finished())
    }

    async fn finish(mut self) -> Result<u64> {
        while self.join().await? {}
        let deleted = self.progress.deleted();
        self.confirmation.check(self.servers, deleted.into())
    }

    /// Waits until a walk ends. Returns `false` if none is running.
    async fn join(&mut self) -> Result<bool> {
        let Some(result) = self.walks.join_next().await else {
            return Ok(false);
        };
        let confirmation = result.map_err(|_| Error::Stopped)??;
        self.confirmation = self.confirmation.and(confirmation);
        Ok(true)
    }
}

/// Deletes a key and its descendants, as far as the purge includes them.
async fn purge_one(
    servers: &Arc<Servers>,
    lease: &Lease,
    progress: &PurgeProgress,
    id: KeyId,
) -> Result<Confirmation> {
    let mut walk = DescendantWalk::new(servers, lease, progress);
    let result = match is_included(servers, progress, &id).await {
        Ok(true) => walk.delete(id).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    match result {
        // A damaged record is kept, and so are its ancestors. The rest of the purge continues.
        Err(error) if !error.is_corrupt() => Err(error),
        _ => Ok(walk.confirmation()),
    }
}

/// Whether the purge includes this record. This check is cheap, and most records fail it.
async fn is_included(servers: &Arc<Servers>, progress: &PurgeProgress, id: &KeyId) -> Result<bool> {
    match read_bytes_in_walk(servers, id).await? {
        Value::BulkString(bytes) => Ok(progress.includes(&record::decode_header(&bytes)?)),
        _ => Ok(false),
    }
}
