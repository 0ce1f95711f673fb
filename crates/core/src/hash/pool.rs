//! The pool of threads that Argon2 runs on.

use std::{
    io,
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use futures_channel::oneshot;

use super::argon2id::Blocks;
use crate::thread::JoinOnDrop;

/// A job for a thread of the pool.
pub(super) type HashJob = Box<dyn FnOnce(&mut Blocks) + Send>;

/// One named thread per core, behind one bounded queue. When the pool is dropped, the threads
/// finish the jobs in the queue and end.
pub(super) struct Pool {
    // Dropped before the threads: they end when the queue is disconnected.
    jobs: Sender<HashJob>,
    queue: HashQueue,
    _threads: Vec<JoinOnDrop>,
}

/// A view of the queue, for metrics. It does not keep the threads from ending.
#[derive(Clone)]
pub(crate) struct HashQueue(Receiver<HashJob>);

impl HashQueue {
    /// Returns the number of jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The blocks that no thread uses at the moment, at most one set per thread. Each thread takes the
/// most recently used set, part of which may still be in the processor's cache.
#[derive(Default)]
struct SpareBlocks(Mutex<Vec<Blocks>>);

impl SpareBlocks {
    fn take(&self) -> Blocks {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    fn put(&self, blocks: Blocks) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(blocks);
    }
}

/// An error from [`Pool::run`] or [`Pool::submit`].
#[derive(Debug)]
pub(super) enum PoolError {
    /// The queue is full.
    Full,
    /// The job panicked.
    Lost,
}

impl Pool {
    pub(super) fn start(queue: usize) -> io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded::<HashJob>(queue);
        let spare = Arc::new(SpareBlocks::default());
        let start = |_| {
            let queue = queue.clone();
            let spare = Arc::clone(&spare);
            let thread = thread::Builder::new()
                .name("kw-hash".into())
                .spawn(move || {
                    for job in queue {
                        let mut blocks = spare.take();
                        // A panic ends the job and not the thread. The job drops its sender, so its
                        // caller gets `PoolError::Lost`.
                        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut blocks)));
                        spare.put(blocks);
                    }
                })?;
            Ok(JoinOnDrop::new(thread))
        };
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            jobs,
            queue: HashQueue(queue),
            _threads: threads,
        })
    }

    /// Runs `work` on a thread of the pool and returns its result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Blocks) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, result) = oneshot::channel();
        let job = Box::new(move |blocks: &mut Blocks| {
            // Skip the work if the caller has stopped waiting.
            if !sender.is_canceled() {
                let _ = sender.send(work(blocks));
            }
        });
        self.submit(job)?;
        result.await.map_err(|_| PoolError::Lost)
    }

    /// Queues a job.
    pub(super) fn submit(&self, job: HashJob) -> Result<(), PoolError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PoolError::Full,
            TrySendError::Disconnected(_) => PoolError::Lost,
        })
    }

    pub(super) const fn queue(&self) -> &HashQueue {
        &self.queue
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_full_queue_rejects_a_job_at_once_and_the_queued_jobs_finish() {
        let pool = Pool::start(2).unwrap();
        let (started, starts) = crossbeam_channel::unbounded();
        let (release, blocked) = crossbeam_channel::bounded::<()>(0);
        let submit = || {
            let (started, blocked) = (started.clone(), blocked.clone());
            let mut job = Box::pin(pool.run(move |_| {
                started.send(()).unwrap();
                blocked.recv().is_err()
            }));
            match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Ok(job),
                Poll::Ready(result) => Err(result),
            }
        };
        let mut accepted = Vec::new();
        for _ in 0..thread::available_parallelism().unwrap().get() {
            accepted.push(submit().ok().unwrap());
            starts.recv().unwrap();
        }
        // Every thread is blocked in a job now, so none takes another from the queue.
        for waiting in 1..=2 {
            accepted.push(submit().ok().unwrap());
            assert_eq!(pool.queue().waiting(), waiting);
        }
        assert!(matches!(submit(), Err(Err(PoolError::Full))));
        drop(release);
        assert!(accepted.into_iter().all(|job| block_on(job).unwrap()));
    }

    #[test]
    fn the_blocks_of_a_run_are_reused_by_later_runs() {
        let pool = Pool::start(1).unwrap();
        // The first word is zero until a run has written it.
        let write = |blocks: &mut Blocks| {
            let block = blocks.get(1).unwrap().first_mut().unwrap();
            std::mem::replace(block.as_mut().first_mut().unwrap(), 1) == 1
        };
        // A run may start before the previous run has returned its blocks. But there are never more
        // sets of blocks than threads, so one run more than that reuses a set.
        let threads = thread::available_parallelism().unwrap().get();
        assert!((0..=threads).any(|_| block_on(pool.run(write)).unwrap()));
    }

    #[test]
    fn a_panic_in_a_job_does_not_affect_other_jobs() {
        let pool = Pool::start(8).unwrap();
        for _ in 0..8 {
            let lost = block_on(pool.run(|_| panic!("a bug in a job")));
            assert!(matches!(lost, Err::<(), _>(PoolError::Lost)));
        }
        assert!(matches!(block_on(pool.run(|_| 7)), Ok(7)));
    }
}
