//! Makes changes, many in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::timeout;

use crate::{
    batch::{self, Worker},
    change::Changed,
    database::{ATTEMPTS, DEADLINE, Database, Single, pause_before_attempt},
    error::{Error, Result},
    held::Held,
    lane::Lane,
    queue::{Capacity, Job, Queue},
    transaction::{self, Recorded},
};

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
}

impl Writer {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database, waiting: &Arc<Lane>) -> Self {
        let (queue, jobs) = Queue::new(CAPACITY);
        batch::start(&WriteWorker(database.clone()), &jobs);
        Self {
            queue,
            waiting: Arc::clone(waiting),
            database: database.clone(),
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
            let alone = Single::write(Arc::clone(&recorded), |connection, statements, recorded| {
                Box::pin(transaction::apply(connection, statements, recorded, None))
            });
            let result = self.waiting.run(tenant.clone(), alone).await;
            if let Some(id) = recorded.change.stale_id() {
                self.database.lease.changed(&id);
            }
            match result {
                Err(Error::Locked) if patience.pause().await => {}
                result => return result,
            }
        }
    }
}

#[derive(Clone)]
struct WriteWorker(Database);

#[async_trait]
impl Worker for WriteWorker {
    type Work = Arc<Recorded>;
    type Output = Changed;

    fn database(&self) -> &Database {
        &self.0
    }

    /// Makes the changes in one transaction. If one of them makes the transaction fail, makes each
    /// of them alone.
    async fn work(&self, held: &mut Held, writes: Vec<Write>) {
        let writes = writes.into_iter().map(|write| (write.work, write.caller));
        let (changes, callers): (Vec<_>, Vec<_>) = writes.unzip();
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
            Err(error) => {
                for caller in callers {
                    caller.finish(Err(error.clone()));
                }
            }
        }
    }
}

impl WriteWorker {
    async fn commit(
        &self,
        held: &mut Held,
        changes: &[Arc<Recorded>],
    ) -> Result<Vec<Result<Changed>>> {
        let committed = self.commit_in(held, changes).await;
        // Invalidate copies even if the reply to the commit was lost: the records may be changed.
        let stale = changes.iter().filter_map(|it| it.change.stale_id());
        for id in stale {
            self.0.lease.changed(&id);
        }
        committed
    }

    /// Commits the changes, and tries again if they conflict with another transaction.
    async fn commit_in(
        &self,
        held: &mut Held,
        changes: &[Arc<Recorded>],
    ) -> Result<Vec<Result<Changed>>> {
        let statements = &self.0.statements;
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
