//! A queue between callers and the tasks that work for them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keywright_core::store::{FairQueue, Tenant};
use tokio::{
    sync::{Notify, oneshot},
    task::yield_now,
    time::timeout,
};

use crate::error::{Error, Result};

/// How many jobs may wait in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) all: usize,
    /// The jobs of one tenant.
    pub(crate) tenant: usize,
}

/// A job whose caller may stop waiting for it.
pub(crate) trait Abandonable {
    fn is_abandoned(&self) -> bool;
}

/// Work, and the caller that waits for its result.
#[derive(Debug)]
pub(crate) struct Job<W, T> {
    pub(crate) work: W,
    pub(crate) caller: Waiting<T>,
}

impl<W, T> Abandonable for Job<W, T> {
    fn is_abandoned(&self) -> bool {
        self.caller.has_left()
    }
}

/// A caller that waits for a result.
#[derive(Debug)]
pub(crate) struct Waiting<T>(oneshot::Sender<Result<T>>);

impl<T> Waiting<T> {
    pub(crate) fn new() -> (Self, Done<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), Done(receiver))
    }

    /// Sends the result to the caller, which may have stopped waiting.
    pub(crate) fn finish(self, result: Result<T>) {
        let _ = self.0.send(result);
    }

    /// Whether the caller has dropped its future.
    pub(crate) fn has_left(&self) -> bool {
        self.0.is_closed()
    }
}

/// The caller's end of [`Waiting`].
#[derive(Debug)]
pub(crate) struct Done<T>(oneshot::Receiver<Result<T>>);

impl<T> Done<T> {
    /// Waits for the result. Any executor may poll the future.
    pub(crate) async fn wait(self) -> Result<T> {
        self.0.await.unwrap_or(Err(Error::Stopped))
    }
}

/// The callers' end of a queue whose tenants take turns. The workers end when this is dropped.
pub(crate) struct Queue<J>(Arc<Shared<J>>);

/// The workers' end of a queue. When the last clone is dropped, for example because the runtime has
/// ended, the waiting jobs are dropped and new ones are rejected.
pub(crate) struct Jobs<J>(Arc<Receiver<J>>);

struct Receiver<J>(Arc<Shared<J>>);

struct Shared<J> {
    state: Mutex<State<J>>,
    changed: Notify,
}

struct State<J> {
    jobs: FairQueue<J>,
    closed: bool,
}

impl<J: Abandonable> Queue<J> {
    pub(crate) fn new(capacity: Capacity) -> (Self, Jobs<J>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                jobs: FairQueue::new(capacity.all, capacity.tenant),
                closed: false,
            }),
            changed: Notify::new(),
        });
        let jobs = Jobs(Arc::new(Receiver(Arc::clone(&shared))));
        (Self(shared), jobs)
    }

    /// Queues a job, unless its tenant or all tenants together have too many. An abandoned job does
    /// not count.
    pub(crate) fn push(&self, tenant: Tenant, job: J) -> Result<()> {
        let mut state = self.0.state();
        if state.closed {
            return Err(Error::Stopped);
        }
        if let Err(job) = state.jobs.push(tenant.clone(), job) {
            state.jobs.retain(|job| !job.is_abandoned());
            let pushed = state.jobs.push(tenant, job);
            pushed.map_err(|_| Error::QueueFull)?;
        }
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl<W, T> Queue<Job<W, T>> {
    /// Queues work and waits for its result. If the future is dropped, the work is done or not.
    pub(crate) async fn run(&self, tenant: Tenant, work: W) -> Result<T> {
        let (caller, done) = Waiting::new();
        self.push(tenant, Job { work, caller })?;
        done.wait().await
    }
}

impl<J: Abandonable> Jobs<J> {
    /// Waits until there is a job. Returns whether there is one: not if the queue was closed.
    pub(crate) async fn wait(&self) -> bool {
        let shared = &self.0.0;
        loop {
            let changed = shared.changed.notified();
            {
                let state = shared.state();
                if !state.jobs.is_empty() || state.closed {
                    return !state.closed;
                }
            }
            changed.await;
        }
    }

    /// Waits until there is a job, but no longer than this. Returns whether there is one.
    pub(crate) async fn wait_within(&self, time: Duration) -> bool {
        timeout(time, self.wait()).await.unwrap_or(false)
    }

    /// Removes up to `limit` jobs, as [`take`](Self::take) does. Before that, lets callers that the
    /// results of a batch have woken queue their next jobs.
    pub(crate) async fn gather(&self, limit: usize) -> Vec<(Tenant, J)> {
        yield_now().await;
        self.take(limit)
    }

    /// Removes up to `limit` jobs without waiting. The tenants take turns. Drops jobs whose callers
    /// have stopped waiting.
    pub(crate) fn take(&self, limit: usize) -> Vec<(Tenant, J)> {
        let shared = &self.0.0;
        let mut state = shared.state();
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((tenant, job)) = state.jobs.pop()
        {
            if !job.is_abandoned() {
                taken.push((tenant, job));
            }
        }
        if !state.jobs.is_empty() {
            // Many jobs may have caused one notification.
            shared.changed.notify_one();
        }
        taken
    }

    /// Puts back a job that is not finished, before the other jobs of its tenant.
    pub(crate) fn resume(&self, tenant: Tenant, job: J) {
        let shared = &self.0.0;
        shared.state().jobs.resume(tenant, job);
        shared.changed.notify_one();
    }
}

impl<J> Shared<J> {
    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }
}

impl<J> Drop for Queue<J> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<J> Drop for Receiver<J> {
    fn drop(&mut self) {
        self.0.close();
        // This drops the jobs, and wakes their callers outside the lock.
        let mut waiting = Vec::new();
        {
            let mut state = self.0.state();
            while let Some(job) = state.jobs.pop() {
                waiting.push(job);
            }
        }
    }
}

impl<J> Clone for Jobs<J> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.0.state().jobs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use keywright_core::Workspace;

    use super::*;

    type Number = Job<u32, ()>;

    fn queue() -> (Queue<Number>, Jobs<Number>) {
        Queue::new(Capacity {
            all: 100,
            tenant: 10,
        })
    }

    fn tenant(name: &str) -> Tenant {
        Some(Workspace::parse(name).unwrap())
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_tenant_fills_neither_the_queue_nor_a_batch() {
        let (queue, jobs) = queue();
        let mut waiting: Vec<_> = (0..10)
            .map(|number| Box::pin(queue.run(tenant("busy"), number)))
            .collect();
        for future in &mut waiting {
            assert!(poll(future.as_mut()).is_pending());
        }
        let mut rejected = pin!(queue.run(tenant("busy"), 10));
        assert!(matches!(
            poll(rejected.as_mut()),
            Poll::Ready(Err(Error::QueueFull))
        ));
        let mut other = pin!(queue.run(tenant("other"), 100));
        assert!(poll(other.as_mut()).is_pending());
        let numbers = |taken: Vec<(Tenant, Number)>| -> Vec<u32> {
            taken.into_iter().map(|(_, job)| job.work).collect()
        };
        assert_eq!(numbers(jobs.take(3)), [0, 100, 1]);
        // A job whose caller has left does not count.
        waiting.truncate(5);
        let mut accepted = pin!(queue.run(tenant("busy"), 11));
        assert!(poll(accepted.as_mut()).is_pending());
        assert_eq!(numbers(jobs.take(100)), [2, 3, 4, 11]);
    }

    #[test]
    fn a_runtime_that_ends_fails_the_waiting_callers_and_later_ones() {
        let (queue, jobs) = queue();
        let mut waiting = pin!(queue.run(None, 1));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(jobs.clone());
        assert!(poll(waiting.as_mut()).is_pending());
        drop(jobs);
        for future in [waiting, pin!(queue.run(None, 2))] {
            assert!(matches!(poll(future), Poll::Ready(Err(Error::Stopped))));
        }
    }

    #[test]
    fn workers_end_when_the_store_is_dropped() {
        let (queue, jobs) = queue();
        let mut wait = pin!(jobs.wait());
        assert!(poll(wait.as_mut()).is_pending());
        drop(queue);
        assert_eq!(poll(wait.as_mut()), Poll::Ready(false));
    }
}
