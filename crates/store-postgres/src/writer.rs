//! Makes changes, many in one transaction.

use std::sync::Arc;

use keywright_core::store::Lease;

use crate::{
    change::Changed,
    database::{Access, Database},
    error::Result,
    queue::{Batches, Queue},
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
        while let Some((changes, callers)) = batches.next().await {
            let committed = self
                .database
                .run(
                    Access::Write,
                    &changes,
                    |connection, statements, changes| {
                        Box::pin(transaction::apply(connection, statements, changes))
                    },
                )
                .await;
            // Invalidate copies even if the reply to the commit was lost: the records may be
            // changed.
            for id in changes
                .iter()
                .filter_map(|recorded| recorded.change.stale_id())
            {
                self.lease.changed(&id);
            }
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
    }
}
