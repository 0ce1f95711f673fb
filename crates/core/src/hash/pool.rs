//! The threads that Argon2 runs on.

use std::{
    io,
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use futures_channel::oneshot;

use super::argon2id::Memory;
use crate::thread::JoinOnDrop;

/// Work for a thread.
pub(super) type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// As many named threads as there are cores, behind one bounded queue.
/// When the pool is dropped they finish what they are at, and end.
pub(super) struct Pool {
    // The order matters: it is the end of the queue that ends the threads.
    queue: Sender<Job>,
    jobs: HashQueue,
    _threads: Vec<JoinOnDrop>,
}

/// What is to be done, for whoever watches; it keeps no thread from ending.
#[derive(Clone)]
pub(crate) struct HashQueue(Receiver<Job>);

impl HashQueue {
    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// Memory for runs, at most one for each thread. What was used last is used next, by whichever thread:
/// some of it may still be in the processor's cache.
#[derive(Default)]
struct Memories(Mutex<Vec<Memory>>);

impl Memories {
    fn take(&self) -> Memory {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    fn give_back(&self, memory: Memory) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(memory);
    }
}

/// Why a job was not done.
#[derive(Debug)]
pub(super) enum PoolError {
    /// The queue is full.
    Full,
    /// The job panicked.
    Lost,
}

impl Pool {
    pub(super) fn start(queue: usize) -> io::Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(queue);
        let memories = Arc::new(Memories::default());
        let start = |_| {
            let jobs = jobs.clone();
            let memories = Arc::clone(&memories);
            let thread = thread::Builder::new()
                .name("kw-hash".into())
                .spawn(move || {
                    for job in jobs {
                        let mut memory = memories.take();
                        // A panic ends this job, whose caller is told, and not the thread.
                        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
                        memories.give_back(memory);
                    }
                })?;
            Ok(JoinOnDrop::new(thread))
        };
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            queue,
            jobs: HashQueue(jobs),
            _threads: threads,
        })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |memory: &mut Memory| {
            // What nobody waits for any more when its turn comes is not worth the core.
            if !answer.is_canceled() {
                let _ = answer.send(work(memory));
            }
        });
        self.submit(job)?;
        answered.await.map_err(|_| PoolError::Lost)
    }

    /// Has a thread do a job.
    pub(super) fn submit(&self, job: Job) -> Result<(), PoolError> {
        self.queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => PoolError::Full,
            TrySendError::Disconnected(_) => PoolError::Lost,
        })
    }

    pub(super) const fn queue(&self) -> &HashQueue {
        &self.jobs
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_full_queue_is_told_at_once_and_what_was_taken_is_done() {
        let pool = Pool::start(2).unwrap();
        let (begun, begins) = crossbeam_channel::unbounded();
        let (release, blocked) = crossbeam_channel::bounded::<()>(0);
        let submit = || {
            let (begun, blocked) = (begun.clone(), blocked.clone());
            let mut job = Box::pin(pool.run(move |_| {
                begun.send(()).unwrap();
                blocked.recv().is_err()
            }));
            match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Ok(job),
                Poll::Ready(answer) => Err(answer),
            }
        };
        let mut taken = Vec::new();
        for _ in 0..thread::available_parallelism().unwrap().get() {
            taken.push(submit().ok().unwrap());
            begins.recv().unwrap();
        }
        // Every thread is at a job now, and none takes another from the queue.
        for waiting in 1..=2 {
            taken.push(submit().ok().unwrap());
            assert_eq!(pool.queue().waiting(), waiting);
        }
        assert!(matches!(submit(), Err(Err(PoolError::Full))));
        drop(release);
        assert!(taken.into_iter().all(|job| block_on(job).unwrap()));
    }

    #[test]
    fn the_memory_of_a_run_is_used_by_the_next_ones() {
        let pool = Pool::start(1).unwrap();
        // Whose first word is zero until a run has written it.
        let write = |memory: &mut Memory| {
            let block = memory.blocks(1).unwrap().first_mut().unwrap();
            std::mem::replace(block.as_mut().first_mut().unwrap(), 1) == 1
        };
        // A run answers before it gives its memory back, so that the next may begin with new memory.
        assert!((0..1_000).any(|_| block_on(pool.run(write)).unwrap()));
    }

    #[test]
    fn a_panicking_job_costs_nothing_but_itself() {
        let pool = Pool::start(8).unwrap();
        for _ in 0..8 {
            let lost = block_on(pool.run(|_| panic!("a bug in a job")));
            assert!(matches!(lost, Err::<(), _>(PoolError::Lost)));
        }
        assert!(matches!(block_on(pool.run(|_| 7)), Ok(7)));
    }
}
