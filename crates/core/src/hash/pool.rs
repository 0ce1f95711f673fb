//! The threads that Argon2 runs on.

use std::{io, num::NonZero, panic::AssertUnwindSafe, thread};

use crossbeam_channel::{Sender, TrySendError};
use futures_channel::oneshot;

use super::argon2id::Memory;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// As many named threads as there are cores, each with memory of its own, behind one bounded queue.
/// They end when the pool is dropped and what was queued is done.
pub(super) struct Pool(Sender<Job>);

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
        let (sender, receiver) = crossbeam_channel::bounded::<Job>(queue);
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let receiver = receiver.clone();
            thread::Builder::new()
                .name("kw-hash".into())
                .spawn(move || {
                    let mut memory = Memory::default();
                    for job in receiver {
                        // A panic ends this job, whose caller is told, and not the thread.
                        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
                    }
                })?;
        }
        Ok(Self(sender))
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |memory: &mut Memory| {
            // Whoever asked may be gone; the work was done all the same.
            let _ = answer.send(work(memory));
        });
        match self.0.try_send(job) {
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
