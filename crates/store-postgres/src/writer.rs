//! Makes changes, many in one transaction.

use std::sync::Arc;

use keywright_core::store::Lease;
use tokio::time::{sleep, timeout};

use crate::{
    change::Changed,
    database::{ATTEMPTS, DEADLINE, Database, pause},
    error::{Error, Result},
    held::{Held, LINGER},
    queue::{Batch, Batches, Queue, Waiting},
    transaction::{self, Recorded},
};

/// The number of workers. Each takes a connection of the pool while it works. While one waits for
/// the disk, the other prepares the next transaction.
const WORKERS: usize = 2;

/// Makes changes. Concurrent changes share a transaction, and each of them succeeds or fails alone.
#[derive(Debug)]
pub(crate) struct Writer(Queue<Recorded, Changed>);

impl Writer {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database, lease: &Arc<Lease>) -> Self {
        let (queue, batches) = Queue::new();
        for _ in 0..WORKERS {
            let worker = Worker {
                database: database.clone(),
                lease: Arc::clone(lease),
            };
            tokio::spawn(worker.work(batches.clone()));
        }
        Self(queue)
    }

    /// Makes a change. Returns after the commit.
    pub(crate) async fn run(&self, recorded: Recorded) -> Result<Changed> {
        self.0.run(recorded).await
    }
}

struct Worker {
    database: Database,
    lease: Arc<Lease>,
}

impl Worker {
    async fn work(self, batches: Batches<Recorded, Changed>) {
        while let Some(batch) = batches.next().await {
            match Held::acquire(&self.database.pool, DEADLINE).await {
                Ok(held) => self.work_with(held, &batches, batch).await,
                Err(error) => finish(batch.1, Err(error)),
            }
        }
    }

    /// Makes the changes of this batch, and of further batches that follow soon.
    async fn work_with(
        &self,
        mut held: Held,
        batches: &Batches<Recorded, Changed>,
        batch: Batch<Recorded, Changed>,
    ) {
        let mut next = Some(batch);
        while let Some((changes, callers)) = next {
            let committed = self.commit(&mut held, &changes).await;
            // Invalidate copies even if the reply to the commit was lost: the records may be
            // changed.
            for id in changes
                .iter()
                .filter_map(|recorded| recorded.change.stale_id())
            {
                self.lease.changed(&id);
            }
            finish(callers, committed);
            if !held.may_continue() {
                return;
            }
            next = batches.next_within(LINGER).await;
        }
    }

    /// Commits the changes, and tries again if they conflict with another transaction.
    async fn commit(&self, held: &mut Held, changes: &[Recorded]) -> Result<Vec<Result<Changed>>> {
        let mut attempt = 1;
        loop {
            let connection = held.begin();
            let committed =
                transaction::commit(connection, &self.database.statements, changes, attempt == 1);
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
            sleep(pause(attempt)).await;
            attempt += 1;
        }
    }
}

fn finish(callers: Vec<Waiting<Changed>>, committed: Result<Vec<Result<Changed>>>) {
    match committed {
        Ok(results) => {
            for (caller, result) in callers.into_iter().zip(results) {
                caller.finish(result);
            }
        }
        Err(error) => {
            for caller in callers {
                caller.finish(Err(error.clone()));
            }
        }
    }
}
