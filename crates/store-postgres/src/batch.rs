//! Workers that do jobs in batches.

use async_trait::async_trait;

use crate::{
    database::Database,
    held::{Held, LINGER},
    queue::{Job, Jobs},
};

/// The number of workers of a queue. Each takes a connection of the pool while it works. While one
/// waits for the disk, the other prepares the next batch.
const WORKERS: usize = 2;

/// The maximum number of jobs in a batch. Tenants take turns, so none of them fills it while others
/// wait.
const SIZE: usize = 128;

/// How a worker does the jobs of a batch.
#[async_trait]
pub(crate) trait Worker: Clone + Send + Sync + 'static {
    /// The work of a job.
    type Work: Send + 'static;
    /// The result of a job.
    type Output: Send + 'static;

    fn database(&self) -> &Database;

    /// Does the jobs, and sends each caller its result.
    async fn work(&self, held: &mut Held, jobs: Vec<Job<Self::Work, Self::Output>>);
}

/// Starts workers on the current runtime. They end when the queue is dropped.
pub(crate) fn start<W: Worker>(worker: &W, jobs: &Jobs<Job<W::Work, W::Output>>) {
    for _ in 0..WORKERS {
        tokio::spawn(work(worker.clone(), jobs.clone()));
    }
}

async fn work<W: Worker>(worker: W, jobs: Jobs<Job<W::Work, W::Output>>) {
    while jobs.wait().await {
        // A panic ends a batch, not the worker. Its callers get `Stopped`.
        let _ = tokio::spawn(work_once(worker.clone(), jobs.clone())).await;
    }
}

/// Does the jobs that wait, and those that follow soon, with one connection.
async fn work_once<W: Worker>(worker: W, jobs: Jobs<Job<W::Work, W::Output>>) {
    let mut held = match Held::acquire(worker.database()).await {
        Ok(held) => held,
        Err(error) => {
            // The others would each wait just as long for the same failure.
            for (_, job) in jobs.take(usize::MAX) {
                job.caller.finish(Err(error.clone()));
            }
            return;
        }
    };
    loop {
        let batch = jobs.gather(SIZE).await;
        let batch: Vec<_> = batch.into_iter().map(|(_, job)| job).collect();
        if !batch.is_empty() {
            worker.work(&mut held, batch).await;
        }
        if !held.may_continue() || !jobs.wait_within(LINGER).await {
            return;
        }
    }
}
