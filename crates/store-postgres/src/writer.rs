//! Makes changes, many in one transaction.

use std::sync::Arc;

use keywright_core::store::Lease;
use tokio::time::timeout;

use crate::{
    change::Changed,
    database::{ATTEMPTS, DEADLINE, Database, pause_before_attempt},
    error::{Error, Result},
    held::{Held, LINGER},
    lane::Lane,
    queue::{Capacity, Job, Jobs, Queue, Waiting},
    transaction::{self, Alone, Recorded},
};

/// The number of workers. Each takes a connection of the pool while it works. While one waits for
/// the disk, the other prepares the next transaction.
const WORKERS: usize = 2;

/// The maximum number of changes in a transaction. Tenants take turns, so none of them fills it
/// while others wait.
const BATCH: usize = 128;

const CAPACITY: Capacity = Capacity {
    all: 8192,
    tenant: 1024,
};

type Write = Job<Arc<Recorded>, Changed>;

/// Makes changes. Concurrent changes share a transaction, and each of them succeeds or fails alone.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Queue<Write>,
    /// Changes whose records another transaction has locked.
    waiting: Arc<Lane>,
    database: Database,
    lease: Arc<Lease>,
}

impl Writer {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database, waiting: &Arc<Lane>, lease: &Arc<Lease>) -> Self {
        let (queue, jobs) = Queue::new(CAPACITY);
        for _ in 0..WORKERS {
            let worker = Worker {
                database: database.clone(),
                lease: Arc::clone(lease),
            };
            tokio::spawn(worker.work(jobs.clone()));
        }
        Self {
            queue,
            waiting: Arc::clone(waiting),
            database: database.clone(),
            lease: Arc::clone(lease),
        }
    }

    /// Makes a change. Returns after the commit.
    ///
    /// If another transaction has locked a record of the change, the change waits outside of a
    /// batch, so that it delays no other one.
    pub(crate) async fn run(&self, recorded: Recorded) -> Result<Changed> {
        let tenant = recorded.change.tenant();
        let recorded = Arc::new(recorded);
        let mut patience = self.database.patience(DEADLINE);
        loop {
            match self.queue.run(tenant.clone(), Arc::clone(&recorded)).await {
                Err(Error::Locked) => {}
                result => return result,
            }
            let alone = Alone(Arc::clone(&recorded));
            let result = self.waiting.run(tenant.clone(), alone).await;
            if let Some(id) = recorded.change.stale_id() {
                self.lease.changed(&id);
            }
            match result {
                Err(Error::Locked) if patience.pause().await => {}
                result => return result,
            }
        }
    }
}

#[derive(Clone)]
struct Worker {
    database: Database,
    lease: Arc<Lease>,
}

impl Worker {
    async fn work(self, jobs: Jobs<Write>) {
        while jobs.wait().await {
            // A panic ends a batch, not the worker. Its callers get `Stopped`.
            let _ = tokio::spawn(self.clone().work_once(jobs.clone())).await;
        }
    }

    /// Makes the changes that wait, and those that follow soon, with one connection.
    async fn work_once(self, jobs: Jobs<Write>) {
        let mut held = match Held::acquire(&self.database).await {
            Ok(held) => held,
            Err(error) => {
                // The others would each wait just as long for the same failure.
                let writes = jobs.take(usize::MAX).into_iter();
                fail(writes.map(|(_, write)| write.caller), &error);
                return;
            }
        };
        loop {
            let writes = jobs.gather(BATCH).await.into_iter();
            let (changes, callers): (Vec<_>, Vec<_>) =
                writes.map(|(_, write)| (write.work, write.caller)).unzip();
            if !changes.is_empty() {
                self.make(&mut held, changes, callers).await;
            }
            if !held.may_continue() || !jobs.wait_within(LINGER).await {
                return;
            }
        }
    }

    /// Makes the changes in one transaction. If one of them makes the transaction fail, makes each
    /// of them alone.
    async fn make(
        &self,
        held: &mut Held,
        changes: Vec<Arc<Recorded>>,
        callers: Vec<Waiting<Changed>>,
    ) {
        match self.commit(held, &changes).await {
            Ok(results) => {
                for (caller, result) in callers.into_iter().zip(results) {
                    caller.finish(result);
                }
            }
            Err(error) if changes.len() > 1 && error.may_be_of_one_change() => {
                for (change, caller) in changes.into_iter().zip(callers) {
                    // Another connection may not be free: the pool may have only this one.
                    let made = if held.is_clean() {
                        self.commit(held, &[change]).await
                    } else {
                        Err(error.clone())
                    };
                    let result = made.and_then(|results| {
                        let only = results.into_iter().next();
                        only.unwrap_or(Err(Error::Stopped))
                    });
                    caller.finish(result);
                }
            }
            Err(error) => fail(callers, &error),
        }
    }

    async fn commit(
        &self,
        held: &mut Held,
        changes: &[Arc<Recorded>],
    ) -> Result<Vec<Result<Changed>>> {
        let committed = self.commit_in(held, changes).await;
        // Invalidate copies even if the reply to the commit was lost: the records may be changed.
        let stale = changes.iter().filter_map(|it| it.change.stale_id());
        for id in stale {
            self.lease.changed(&id);
        }
        committed
    }

    /// Commits the changes, and tries again if they conflict with another transaction.
    async fn commit_in(
        &self,
        held: &mut Held,
        changes: &[Arc<Recorded>],
    ) -> Result<Vec<Result<Changed>>> {
        let statements = &self.database.statements;
        let mut attempt = 1;
        loop {
            let may_skip_locks = attempt == 1;
            let committed = transaction::commit(held.begin(), statements, changes, may_skip_locks);
            let error = match timeout(DEADLINE, committed).await {
                Ok(Ok(results)) => {
                    held.done();
                    return Ok(results);
                }
                Ok(Err(error)) => error,
                // The server is not asked to cancel the transaction: it would commit without the
                // synchronous standby that it waits for.
                Err(_) => return Err(Error::Timeout),
            };
            let rollback = sqlx::raw_sql("ROLLBACK").execute(held.begin());
            if !matches!(timeout(DEADLINE, rollback).await, Ok(Ok(_))) {
                return Err(error);
            }
            held.done();
            if !error.is_conflict() || attempt == ATTEMPTS {
                return Err(error);
            }
            pause_before_attempt(attempt).await;
            attempt += 1;
        }
    }
}

fn fail(callers: impl IntoIterator<Item = Waiting<Changed>>, error: &Error) {
    for caller in callers {
        caller.finish(Err(error.clone()));
    }
}
