//! A queue of jobs that workers do in batches.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::{Error, Result};

/// The maximum number of jobs that wait in a queue.
const CAPACITY: usize = 1024;

/// The maximum number of jobs in a batch.
const BATCH: usize = 128;

type Job<W, T> = (W, Waiting<T>);

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
    /// Takes the next batch: the jobs, and the callers that wait for their results. Returns `None`
    /// when the queue has ended. Jobs whose callers have stopped waiting are dropped.
    pub(crate) async fn next(&self) -> Option<(Vec<W>, Vec<Waiting<T>>)> {
        let mut jobs = self.0.lock().await;
        let mut batch = Vec::new();
        while batch.is_empty() {
            if jobs.recv_many(&mut batch, BATCH).await == 0 {
                return None;
            }
            batch.retain(|(_, waiting): &Job<W, T>| !waiting.0.is_closed());
        }
        Some(batch.into_iter().unzip())
    }
}
