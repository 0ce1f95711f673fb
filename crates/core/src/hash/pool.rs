//! The threads that Argon2 runs on.

use std::{
    io,
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, TrySendError};
use futures_channel::oneshot;

use super::argon2id::Memory;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// As many named threads as there are cores, behind one bounded queue.
/// When the pool is dropped they finish what they are at, and end.
pub(super) struct Pool {
    // The order matters: it is the end of the queue that ends the threads.
    queue: Sender<Job>,
    _threads: Vec<Thread>,
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

/// A thread that is waited for when this is dropped.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        // An answer may wake whoever drops the pool right there, on the thread that answers; a
        // thread cannot wait for itself.
        if let Some(thread) = self.0.take()
            && thread.thread().id() != thread::current().id()
        {
            // It catches the panics of its jobs; there is nobody to tell of another one.
            let _ = thread.join();
        }
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
            Ok(Thread(Some(thread)))
        };
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            queue,
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
        match self.queue.try_send(job) {
            Ok(()) => answered.await.map_err(|_| PoolError::Lost),
            Err(TrySendError::Full(_)) => Err(PoolError::Full),
            Err(TrySendError::Disconnected(_)) => Err(PoolError::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_full_queue_is_told_at_once_and_what_was_taken_is_done() {
        let pool = Pool::start(2).unwrap();
        let (release, blocked) = crossbeam_channel::bounded::<()>(0);
        let mut taken: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
        loop {
            let blocked = blocked.clone();
            let mut job = Box::pin(pool.run(move |_| blocked.recv().is_err()));
            match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => taken.push(job),
                Poll::Ready(refused) => break assert!(matches!(refused, Err(PoolError::Full))),
            }
        }
        let threads = thread::available_parallelism().unwrap().get();
        assert!((2..=2 + threads).contains(&taken.len()));
        drop(release);
        assert!(taken.into_iter().all(|job| block_on(job).unwrap()));
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
