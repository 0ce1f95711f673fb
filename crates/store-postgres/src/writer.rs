//! Makes changes, many in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use keywright_core::store::Lease;
use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use crate::{
    change::Changed,
    database::{Access, DEADLINE, Database, Operation},
    error::{Error, Result},
    lane::Lane,
    queue::{Capacity, Job, Jobs, Queue, Waiting},
    statements::Statements,
    transaction::{self, Alone, Recorded, WhenLocked},
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
            let connection = self.database.acquire().await;
            let limit = if connection.is_ok() {
                BATCH
            } else {
                usize::MAX
            };
            let writes = jobs.take(limit).into_iter();
            let (changes, callers) = writes.map(|(_, write)| (write.work, write.caller)).unzip();
            let worker = self.clone();
            let write = async move {
                match connection {
                    Ok(connection) => worker.make(connection, changes, callers).await,
                    Err(error) => fail(callers, &error),
                }
            };
            // A panic ends this batch, not the worker. Its callers get `Stopped`.
            let _ = tokio::spawn(write).await;
        }
    }

    /// Makes the changes in one transaction. If one of them makes the transaction fail, makes each
    /// of them alone.
    async fn make(
        &self,
        connection: PoolConnection<Postgres>,
        changes: Vec<Arc<Recorded>>,
        callers: Vec<Waiting<Changed>>,
    ) {
        match self.commit(connection, &changes).await {
            Ok(results) => {
                for (caller, result) in callers.into_iter().zip(results) {
                    caller.finish(result);
                }
            }
            Err(error) if changes.len() > 1 && error.may_be_of_one_change() => {
                for (change, caller) in changes.into_iter().zip(callers) {
                    let result = match self.database.acquire().await {
                        Ok(connection) => self.commit(connection, &[change]).await,
                        Err(error) => Err(error),
                    };
                    let result = result.and_then(|results| {
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
        connection: PoolConnection<Postgres>,
        changes: &[Arc<Recorded>],
    ) -> Result<Vec<Result<Changed>>> {
        let mut batch = Batch(changes.into());
        let committed = self.database.step(connection, &mut batch).await;
        // Invalidate copies even if the reply to the commit was lost: the records may be changed.
        let stale = changes.iter().filter_map(|it| it.change.stale_id());
        for id in stale {
            self.lease.changed(&id);
        }
        committed.map(Option::unwrap_or_default)
    }
}

fn fail(callers: Vec<Waiting<Changed>>, error: &Error) {
    for caller in callers {
        caller.finish(Err(error.clone()));
    }
}

struct Batch(Box<[Arc<Recorded>]>);

#[async_trait]
impl Operation for Batch {
    type Output = Vec<Result<Changed>>;
    const ACCESS: Access = Access::Write;

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Self::Output>> {
        let changes: Vec<&Recorded> = self.0.iter().map(|recorded| &**recorded).collect();
        transaction::apply(connection, statements, &changes, WhenLocked::Fail)
            .await
            .map(Some)
    }
}
