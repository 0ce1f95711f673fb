//! A queue of jobs that workers do in batches.

use std::{iter, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::yield_now,
    time::timeout,
};

use crate::error::{Error, Result};

/// The maximum number of jobs that wait in a queue.
const CAPACITY: usize = 1024;

/// The maximum number of jobs in a batch.
const BATCH: usize = 128;

type Job<W, T> = (W, Waiting<T>);

/// The jobs of a batch, and the callers that wait for their results.
pub(crate) type Batch<W, T> = (Vec<W>, Vec<Waiting<T>>);

/// A caller that waits for a result.
#[derive(Debug)]
pub(crate) struct Waiting<T>(oneshot::Sender<Result<T>>);

impl<T> Waiting<T> {
    /// Sends the result to the caller, which may have stopped waiting.
    pub(crate) fn finish(self, result: Result<T>) {
        let _ = self.0.send(result);
    }
}

/// A queue of jobs. A worker takes all jobs that wait, up to 128, and does them together. Under
/// load, batches grow, and a job costs little more than its share of a batch.
#[derive(Debug)]
pub(crate) struct Queue<W, T> {
    jobs: mpsc::Sender<Job<W, T>>,
}

/// The end of a queue from which its workers take batches. Clones share it.
#[derive(Debug)]
pub(crate) struct Batches<W, T>(Arc<Mutex<mpsc::Receiver<Job<W, T>>>>);

impl<W, T> Clone for Batches<W, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W, T> Queue<W, T> {
    pub(crate) fn new() -> (Self, Batches<W, T>) {
        let (jobs, receiver) = mpsc::channel(CAPACITY);
        (Self { jobs }, Batches(Arc::new(Mutex::new(receiver))))
    }

    /// Queues a job and waits for its result. Any executor may poll the future. If the future is
    /// dropped, the job is done or not done.
    pub(crate) async fn run(&self, work: W) -> Result<T> {
        let (result, done) = oneshot::channel();
        match self.jobs.try_send((work, Waiting(result))) {
            Ok(()) => done.await.unwrap_or(Err(Error::Stopped)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::QueueFull),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }
}

impl<W, T> Batches<W, T> {
    /// Takes the next batch. Returns `None` when the queue has ended.
    pub(crate) async fn next(&self) -> Option<Batch<W, T>> {
        loop {
            let mut jobs = self.0.lock().await;
            let first = jobs.recv().await?;
            if let Some(batch) = gather(&mut jobs, first).await {
                return Some(batch);
            }
        }
    }

    /// Takes the next batch if one comes in this time.
    pub(crate) async fn next_within(&self, time: Duration) -> Option<Batch<W, T>> {
        let next = async {
            let mut jobs = self.0.lock().await;
            let first = jobs.recv().await;
            (jobs, first)
        };
        let (mut jobs, first) = timeout(time, next).await.ok()?;
        gather(&mut jobs, first?).await
    }
}

/// Takes the jobs that wait. Jobs whose callers have stopped waiting are dropped. Returns `None` if
/// no other job waits.
async fn gather<W, T>(
    jobs: &mut mpsc::Receiver<Job<W, T>>,
    first: Job<W, T>,
) -> Option<Batch<W, T>> {
    // The results of a batch wake many callers. Let those that are ready queue their next jobs.
    yield_now().await;
    let waiting = iter::from_fn(|| jobs.try_recv().ok());
    let batch: Vec<Job<W, T>> = iter::once(first)
        .chain(waiting)
        .take(BATCH)
        .filter(|(_, waiting)| !waiting.0.is_closed())
        .collect();
    (!batch.is_empty()).then(|| batch.into_iter().unzip())
}
