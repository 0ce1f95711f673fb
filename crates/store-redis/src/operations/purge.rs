//! Deleting the records of keys that were revoked long ago.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use keywright_core::{KeyId, Purge, Workspace};
use redis::{Value, cmd};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinSet,
};

use super::{Confirmation, lineage::Lineage, scan::Scan};
use crate::{
    error::{Error, Result},
    record::{self, Head},
    request::{Effect, Request},
    servers::Servers,
};

/// Most keys that are looked at in the same moment.
const AT_ONCE: usize = 64;

/// Most entries of a list that are read in one step.
const STEP: u64 = 512;

/// Looks at all records, or at those of one workspace, until as many as are wanted are deleted. Each
/// is deleted by itself, after all that descends from it. It takes what it meets: 0 is told where a
/// whole walk has met nothing, and a record that moves to another server of a cluster during the walk
/// may be left to a later one.
pub(crate) async fn purge(servers: &Arc<Servers>, purge: Arc<Purge>) -> Result<u64> {
    let mut work = Work::new(servers, Arc::clone(&purge));
    match &purge.workspace {
        Some(workspace) => {
            let mut last = None;
            while let Some(ids) = listed(servers, workspace, last).await? {
                last = ids.last().copied();
                if !work.take(ids).await? {
                    break;
                }
            }
        }
        None => {
            'all: for node in servers.primaries() {
                let mut scan = Scan::of(node);
                while let Some(ids) = scan.next(servers).await? {
                    if !work.take(ids).await? {
                        break 'all;
                    }
                }
            }
        }
    }
    work.end().await
}

/// The next ids of a workspace from the newest on; `None` at the end. An entry is there before its
/// record, and goes after it.
async fn listed(
    servers: &Arc<Servers>,
    workspace: &Workspace,
    last: Option<KeyId>,
) -> Result<Option<Vec<KeyId>>> {
    let index = servers.names().index(workspace);
    let mut range = cmd("ZRANGE");
    range.arg(&index);
    match last {
        Some(id) => range.arg([b"(", id.as_bytes().as_slice()].concat()),
        None => range.arg("+"),
    };
    range.arg("-").arg("BYLEX").arg("REV");
    range.arg("LIMIT").arg(0).arg(STEP);
    let request = Request::new(&index, Effect::Reads, range);
    let Value::Array(entries) = servers.run(request).await?.value else {
        return Err(Error::Unexpected("answer to ZRANGE"));
    };
    let ids: Option<Vec<KeyId>> = entries
        .iter()
        .map(|entry| match entry {
            Value::BulkString(id) => KeyId::from_bytes(id).ok(),
            _ => None,
        })
        .collect();
    let ids = ids.ok_or(Error::Unexpected("list of ids"))?;
    Ok((!ids.is_empty()).then_some(ids))
}

/// What all keys of one purge share.
pub(super) struct Shared {
    pub(super) purge: Arc<Purge>,
    /// One permit for each record that may be deleted still, kept by whoever is about to. Closed once
    /// as many as are wanted were deleted.
    permits: Semaphore,
    deleted: AtomicU32,
    /// Keys that were found to stay, so that what they descend from is not walked again and again.
    staying: Mutex<HashSet<KeyId>>,
}

impl Shared {
    fn new(purge: Arc<Purge>) -> Self {
        let most = usize::try_from(purge.limit).unwrap_or(usize::MAX);
        let permits = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        if purge.limit == 0 {
            permits.close();
        }
        Self {
            purge,
            permits,
            deleted: AtomicU32::new(0),
            staying: Mutex::default(),
        }
    }

    /// Waits until one more may be deleted; `None` if as many as are wanted were.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// One was deleted.
    pub(super) fn spend(&self, permit: SemaphorePermit<'_>) {
        permit.forget();
        if self.deleted.fetch_add(1, Ordering::Relaxed) + 1 == self.purge.limit {
            self.permits.close();
        }
    }

    pub(super) fn stays(&self, id: &KeyId) -> bool {
        let staying = self.staying.lock();
        staying.unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn stay(&self, ids: impl Iterator<Item = KeyId>) {
        let staying = self.staying.lock();
        staying.unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether a record may be deleted, whatever descends from it.
    pub(super) fn covers(&self, head: &Head) -> bool {
        let Purge {
            workspace,
            revoked_before,
            ..
        } = &*self.purge;
        head.revoked_at.is_some_and(|time| time < *revoked_before)
            && workspace.as_ref().is_none_or(|own| head.workspace == *own)
    }
}

/// The keys that are being looked at, and what has come of those before.
struct Work<'a> {
    servers: &'a Arc<Servers>,
    shared: Arc<Shared>,
    running: JoinSet<Result<Confirmation>>,
    confirmation: Confirmation,
}

impl<'a> Work<'a> {
    fn new(servers: &'a Arc<Servers>, purge: Arc<Purge>) -> Self {
        Self {
            servers,
            shared: Arc::new(Shared::new(purge)),
            running: JoinSet::new(),
            confirmation: Confirmation(true),
        }
    }

    /// Looks at these keys, and tells whether there is any use in more of them.
    async fn take(&mut self, ids: Vec<KeyId>) -> Result<bool> {
        for id in ids {
            if self.running.len() == AT_ONCE {
                self.join().await?;
            }
            let (servers, shared) = (Arc::clone(self.servers), Arc::clone(&self.shared));
            self.running
                .spawn(async move { take_one(&servers, &shared, id).await });
        }
        Ok(!self.shared.permits.is_closed())
    }

    async fn end(mut self) -> Result<u64> {
        while self.join().await? {}
        let count = self.shared.deleted.load(Ordering::Relaxed);
        self.confirmation.check(self.servers, count.into())
    }

    /// Waits for one of those that are being looked at, if there is any.
    async fn join(&mut self) -> Result<bool> {
        let Some(outcome) = self.running.join_next().await else {
            return Ok(false);
        };
        let confirmation = outcome.map_err(|_| Error::Ended)??;
        self.confirmation = self.confirmation.and(confirmation);
        Ok(true)
    }
}

/// Deletes what it may of a key and what descends from it, if the key may go.
async fn take_one(servers: &Arc<Servers>, shared: &Shared, id: KeyId) -> Result<Confirmation> {
    let mut lineage = Lineage::new(servers, shared);
    let outcome = match may_go(servers, shared, &id).await {
        Ok(true) => lineage.delete(id).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    match outcome {
        // It stays, and with it what it descends from: nothing else is its concern.
        Err(error) if !error.is_corrupt() => Err(error),
        _ => Ok(lineage.confirmation()),
    }
}

/// A first look, which costs the server next to nothing: most records stay.
async fn may_go(servers: &Arc<Servers>, shared: &Shared, id: &KeyId) -> Result<bool> {
    let name = servers.names().record(id);
    let mut get = cmd("GET");
    get.arg(&name);
    let request = Request::new(&name, Effect::Reads, get);
    match servers.run(request).await?.value {
        Value::BulkString(bytes) => Ok(shared.covers(&record::head(&bytes)?)),
        _ => Ok(false),
    }
}
