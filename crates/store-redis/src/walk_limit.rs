//! Limits on concurrent walks through many keys: lists, cascades and purges.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use keywright_core::Workspace;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// The maximum number of walks that run at a time.
const ALL: usize = 8;

/// The maximum number of walks of one workspace that run at a time.
const PER_WORKSPACE: usize = 2;

/// The maximum number of walks of one workspace that wait.
const WAITING: usize = 32;

/// The number of workspaces at which the limits of workspaces without a walk are removed.
const WORKSPACES: usize = 1024;

/// The limits of each kind of walk. Walks of different kinds do not wait for each other.
#[derive(Debug, Default)]
pub(crate) struct WalkLimits {
    pub(crate) lists: WalkLimit,
    pub(crate) cascades: WalkLimit,
    pub(crate) purges: WalkLimit,
}

/// A limit on concurrent walks, each of which takes many steps. Each workspace has a lower limit,
/// so that the walks of one do not keep those of another waiting.
#[derive(Debug)]
pub(crate) struct WalkLimit {
    running: Arc<Semaphore>,
    workspaces: Mutex<HashMap<Option<Workspace>, WorkspaceLimit>>,
}

#[derive(Debug)]
struct WorkspaceLimit {
    /// The permits of the walks that wait or run.
    admitted: Arc<Semaphore>,
    /// The permits of the walks of this workspace that run, or wait only for the common limit.
    running: Arc<Semaphore>,
}

/// Permits one walk until it is dropped.
#[derive(Debug)]
pub(crate) struct WalkPermit(
    #[expect(dead_code, reason = "held until the drop")] [OwnedSemaphorePermit; 3],
);

impl Default for WalkLimit {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(ALL)),
            workspaces: Mutex::default(),
        }
    }
}

impl WalkLimit {
    /// Waits until one more walk may run. `None` stands for all workspaces.
    ///
    /// # Errors
    ///
    /// `Busy` if too many walks of the workspace are already waiting.
    pub(crate) async fn acquire(&self, workspace: Option<&Workspace>) -> Result<WalkPermit> {
        let (admitted, running) = self.admit(workspace)?;
        let own = running.acquire_owned().await;
        let own = own.map_err(|_| Error::Stopped)?;
        let all = Arc::clone(&self.running).acquire_owned().await;
        Ok(WalkPermit([
            admitted,
            own,
            all.map_err(|_| Error::Stopped)?,
        ]))
    }

    fn admit(
        &self,
        workspace: Option<&Workspace>,
    ) -> Result<(OwnedSemaphorePermit, Arc<Semaphore>)> {
        let mut workspaces = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if workspaces.len() >= WORKSPACES {
            workspaces.retain(|_, limit| limit.is_used());
        }
        let limit = workspaces
            .entry(workspace.cloned())
            .or_insert_with(WorkspaceLimit::new);
        // Take the permit while the lock is held, so that no other call removes the limit.
        let admitted = Arc::clone(&limit.admitted).try_acquire_owned();
        Ok((
            admitted.map_err(|_| Error::Busy)?,
            Arc::clone(&limit.running),
        ))
    }
}

impl WorkspaceLimit {
    fn new() -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(PER_WORKSPACE + WAITING)),
            running: Arc::new(Semaphore::new(PER_WORKSPACE)),
        }
    }

    fn is_used(&self) -> bool {
        self.admitted.available_permits() < PER_WORKSPACE + WAITING
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn workspace(number: usize) -> Workspace {
        Workspace::parse(&format!("w{number}")).unwrap()
    }

    #[tokio::test]
    async fn the_walks_of_one_workspace_leave_room_for_those_of_others() {
        let limit = Arc::new(WalkLimit::default());
        let busy = workspace(0);
        let mut permits = Vec::new();
        for _ in 0..PER_WORKSPACE {
            permits.push(limit.acquire(Some(&busy)).await.unwrap());
        }
        let mut waiting = JoinSet::new();
        for _ in 0..WAITING {
            let (limit, busy) = (Arc::clone(&limit), busy.clone());
            waiting.spawn(async move { limit.acquire(Some(&busy)).await.map(drop) });
        }
        // Let the tasks run until they wait.
        tokio::task::yield_now().await;
        let rejected = limit.acquire(Some(&busy)).await.unwrap_err();
        assert!(matches!(rejected, Error::Busy), "{rejected}");
        let others: Vec<_> = (0..ALL - PER_WORKSPACE).map(|n| workspace(1 + n)).collect();
        for other in &others {
            permits.push(limit.acquire(Some(other)).await.unwrap());
        }
        assert_eq!(limit.running.available_permits(), 0);
        permits.clear();
        while let Some(result) = waiting.join_next().await {
            result.unwrap().unwrap();
        }
        limit.acquire(Some(&busy)).await.unwrap();
    }

    #[tokio::test]
    async fn a_walk_that_is_dropped_while_it_waits_makes_room_for_another() {
        let limit = Arc::new(WalkLimit::default());
        let busy = workspace(0);
        let _running = [(); PER_WORKSPACE].map(|()| limit.admit(Some(&busy)).unwrap());
        let mut waiting = JoinSet::new();
        for _ in 0..WAITING {
            let (limit, busy) = (Arc::clone(&limit), busy.clone());
            waiting.spawn(async move { limit.acquire(Some(&busy)).await.map(drop) });
        }
        tokio::task::yield_now().await;
        waiting.shutdown().await;
        assert!(limit.admit(Some(&busy)).is_ok());
    }

    #[tokio::test]
    async fn workspaces_without_a_walk_are_removed() {
        let limit = WalkLimit::default();
        let kept = limit.acquire(Some(&workspace(0))).await.unwrap();
        for number in 1..3 * WORKSPACES {
            limit.acquire(Some(&workspace(number))).await.unwrap();
        }
        let workspaces = limit.workspaces.lock().unwrap();
        assert!(workspaces.len() <= WORKSPACES);
        assert!(workspaces.contains_key(&Some(workspace(0))));
        drop(kept);
    }
}
