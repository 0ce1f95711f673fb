//! The pool of threads that Argon2 runs on.

use std::{
    io,
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use futures_channel::oneshot;

use super::{
    argon2id::Blocks,
    run_queue::{Purpose, RunQueue},
};
use crate::{Workspace, thread::JoinOnDrop};

/// A job for a thread of the pool. It is called with an error if the queue was full.
pub(super) type HashJob = Box<dyn FnOnce(Result<&mut Blocks, PoolError>) + Send>;

/// One named thread per core, behind one [`RunQueue`]. When the pool is dropped, the threads finish
/// the jobs in the queue, except the checks, and end.
///
/// Checks run only while no caller waits, and leave one thread free, if there are several, so that
/// a caller that comes later does not wait for the end of a check.
pub(super) struct Pool {
    queue: HashQueue,
    threads: Vec<JoinOnDrop>,
}

/// The queue of a pool. It does not keep the threads from ending.
#[derive(Clone)]
pub(crate) struct HashQueue(Arc<Shared>);

struct Shared {
    state: Mutex<QueueState>,
    /// Notified of each new job and of the end of the pool.
    changed: Condvar,
}

struct QueueState {
    runs: RunQueue<HashJob>,
    /// The number of threads that run a check.
    checking: usize,
    /// The number of threads that may run a check.
    may_check: usize,
    /// Whether the pool was dropped.
    closed: bool,
}

impl QueueState {
    /// Takes the next job, and whether it is a check.
    fn pop(&mut self) -> Option<(HashJob, bool)> {
        if let Some(job) = self.runs.pop_awaited() {
            return Some((job, false));
        }
        if self.checking == self.may_check {
            return None;
        }
        let check = self.runs.pop_check()?;
        self.checking += 1;
        Some((check, true))
    }
}

impl HashQueue {
    fn new(capacity: usize, checks: usize, threads: usize) -> Self {
        let state = QueueState {
            runs: RunQueue::new(capacity, checks),
            checking: 0,
            may_check: threads.saturating_sub(1).max(1),
            closed: false,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next job, and returns it and whether it is a check. Returns `None` once the
    /// pool is dropped and the queue is empty.
    fn next(&self) -> Option<(HashJob, bool)> {
        let mut state = self.lock();
        loop {
            let next = state.pop();
            if next.is_some() || state.closed {
                return next;
            }
            let changed = self.0.changed.wait(state);
            state = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends a check. This thread then takes the next job, so no other one needs a notification.
    fn end_check(&self) {
        self.lock().checking -= 1;
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        // Thousands of checks may wait, and would delay the end for minutes.
        let checks = state.runs.take_checks();
        drop(state);
        drop(checks);
        self.0.changed.notify_all();
    }

    /// Returns the number of verifications that wait.
    pub(crate) fn waiting_verifications(&self) -> usize {
        self.lock().runs.waiting(Purpose::Verification)
    }

    /// Returns the number of new hashes that wait.
    pub(crate) fn waiting_new_hashes(&self) -> usize {
        self.lock().runs.waiting(Purpose::NewHash)
    }

    /// Returns the number of checks that wait.
    pub(crate) fn waiting_checks(&self) -> usize {
        self.lock().runs.waiting(Purpose::Check)
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
    /// Starts the threads, with a queue that has `capacity` places for verifications and new
    /// hashes, and `checks` places for checks. The threads are `niceness` nicer than this thread.
    pub(super) fn start(capacity: usize, checks: usize, niceness: u8) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self::start_threads(threads, capacity, checks, niceness)
    }

    fn start_threads(
        threads: usize,
        capacity: usize,
        checks: usize,
        niceness: u8,
    ) -> io::Result<Self> {
        let mut pool = Self {
            queue: HashQueue::new(capacity, checks, threads),
            threads: Vec::new(),
        };
        let spare = Arc::new(SpareBlocks::default());
        for _ in 0..threads {
            let queue = pool.queue.clone();
            let spare = Arc::clone(&spare);
            let thread = thread::Builder::new()
                .name("kw-hash".into())
                .spawn(move || {
                    lower_priority(niceness);
                    while let Some((job, is_check)) = queue.next() {
                        let mut blocks = spare.take();
                        // A panic ends the job and not the thread. The job drops its sender, so its
                        // caller gets `PoolError::Lost`.
                        let run = AssertUnwindSafe(|| job(Ok(&mut blocks)));
                        let _ = std::panic::catch_unwind(run);
                        spare.put(blocks);
                        if is_check {
                            queue.end_check();
                        }
                    }
                })?;
            pool.threads.push(JoinOnDrop::new(thread));
        }
        Ok(pool)
    }

    /// Runs `work` on a thread of the pool and returns its result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        purpose: Purpose,
        workspace: &Workspace,
        work: impl FnOnce(&mut Blocks) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, result) = oneshot::channel();
        let job = Box::new(move |blocks: Result<&mut Blocks, PoolError>| {
            // Skip the work if the caller has stopped waiting.
            if !sender.is_canceled() {
                let _ = sender.send(blocks.map(work));
            }
        });
        self.submit(purpose, workspace, job);
        result.await.unwrap_or(Err(PoolError::Lost))
    }

    /// Queues a job. If the queue is full, this rejects it, or a job of a workspace that has more
    /// waiting.
    pub(super) fn submit(&self, purpose: Purpose, workspace: &Workspace, job: HashJob) {
        let workspace = workspace.clone();
        // A separate statement, so that the lock is released before the rejected job is called.
        let rejected = self.queue.lock().runs.push(purpose, workspace, job);
        self.queue.0.changed.notify_one();
        if let Some(rejected) = rejected {
            rejected(Err(PoolError::Full));
        }
    }

    pub(super) const fn queue(&self) -> &HashQueue {
        &self.queue
    }
}

/// Lowers the priority of this thread. On Linux, each thread has its own niceness.
#[cfg(target_os = "linux")]
fn lower_priority(niceness: u8) {
    if niceness > 0 {
        // A container may forbid this. The threads then work with their usual priority.
        let _ = rustix::process::nice(niceness.into());
    }
}

#[cfg(not(target_os = "linux"))]
const fn lower_priority(_niceness: u8) {}

impl Drop for Pool {
    fn drop(&mut self) {
        // The threads are joined after this.
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::mpsc::{self, Sender},
        task::{Context, Poll, Waker},
    };

    use futures_executor::block_on;

    use super::*;

    fn workspace(name: &str) -> Workspace {
        Workspace::parse(name).unwrap()
    }

    /// A pool whose threads are all blocked in a job until this is dropped.
    struct Blocked {
        // Dropped before the pool, which waits for its threads.
        _release: Sender<()>,
        pool: Arc<Pool>,
    }

    impl Blocked {
        fn new(capacity: usize) -> Self {
            let pool = Arc::new(Pool::start(capacity, 4, 0).unwrap());
            let (started, starts) = mpsc::channel();
            let (release, blocked) = mpsc::channel::<()>();
            let blocked = Arc::new(Mutex::new(blocked));
            for _ in 0..thread::available_parallelism().unwrap().get() {
                let (started, blocked) = (started.clone(), Arc::clone(&blocked));
                let job = move |_: Result<&mut Blocks, PoolError>| {
                    started.send(()).unwrap();
                    let _ = blocked.lock().unwrap().recv();
                };
                pool.submit(Purpose::NewHash, &workspace("blockers"), Box::new(job));
                starts.recv().unwrap();
            }
            Self {
                _release: release,
                pool,
            }
        }

        /// Starts a run, and returns it unless it is rejected at once.
        fn start(&self, purpose: Purpose, name: &str) -> Option<Run> {
            let (pool, name) = (Arc::clone(&self.pool), workspace(name));
            let mut run: Run = Box::pin(async move { pool.run(purpose, &name, |_| ()).await });
            match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Some(run),
                Poll::Ready(result) => {
                    assert!(matches!(result, Err(PoolError::Full)));
                    None
                }
            }
        }

        fn waiting(&self) -> (usize, usize) {
            let queue = self.pool.queue();
            (queue.waiting_verifications(), queue.waiting_new_hashes())
        }
    }

    type Run = Pin<Box<dyn Future<Output = Result<(), PoolError>>>>;

    #[test]
    fn a_full_queue_rejects_a_job_at_once_and_does_those_that_it_has() {
        let blocked = Blocked::new(2);
        let start = || blocked.start(Purpose::Verification, "a");
        let accepted = [start().unwrap(), start().unwrap()];
        assert_eq!(blocked.waiting(), (2, 0));
        assert!(start().is_none());
        drop(blocked);
        assert!(accepted.into_iter().all(|run| block_on(run).is_ok()));
    }

    /// Sends a message when it is dropped.
    struct OnDrop(Sender<()>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn the_end_of_the_pool_drops_the_checks_that_wait() {
        let Blocked { _release, pool } = Blocked::new(2);
        let (dropping, dropped) = mpsc::channel();
        for _ in 0..2 {
            let dropping = OnDrop(dropping.clone());
            let check = move |_: Result<&mut Blocks, PoolError>| {
                std::mem::forget(dropping);
                unreachable!("the threads are blocked");
            };
            pool.submit(Purpose::Check, &workspace("a"), Box::new(check));
        }
        assert_eq!(pool.queue().waiting_checks(), 2);
        // The threads are still blocked when the checks are dropped.
        let ending = thread::spawn(move || drop(pool));
        dropped.recv().unwrap();
        dropped.recv().unwrap();
        drop(_release);
        ending.join().unwrap();
    }

    #[test]
    fn bug_a_caller_waited_for_checks_that_kept_every_thread_busy() {
        for threads in 1..=3 {
            let pool = Pool::start_threads(threads, 8, 8, 0).unwrap();
            let (started, starts) = mpsc::channel();
            let (release, blocked) = mpsc::channel::<()>();
            let blocked = Arc::new(Mutex::new(blocked));
            for _ in 0..8 {
                let (started, blocked) = (started.clone(), Arc::clone(&blocked));
                let check = move |_: Result<&mut Blocks, PoolError>| {
                    started.send(()).unwrap();
                    let _ = blocked.lock().unwrap().recv();
                };
                pool.submit(Purpose::Check, &workspace("a"), Box::new(check));
            }
            let checking = (threads - 1).max(1);
            starts.iter().take(checking).for_each(drop);
            if threads > 1 {
                block_on(run(&pool, |_| ())).unwrap();
                assert!(starts.try_recv().is_err());
            }
            assert_eq!(pool.queue().waiting_checks(), 8 - checking);
            drop(release);
            // Each check that ends makes room for the next.
            starts.iter().take(8 - checking).for_each(drop);
        }
    }

    #[test]
    fn a_job_whose_place_goes_to_another_workspace_is_rejected() {
        let blocked = Blocked::new(2);
        let start = |name| blocked.start(Purpose::NewHash, name).unwrap();
        let (first, second, other) = (start("a"), start("a"), start("b"));
        assert!(matches!(block_on(second), Err(PoolError::Full)));
        assert_eq!(blocked.waiting(), (0, 2));
        drop(blocked);
        assert!(block_on(first).is_ok() && block_on(other).is_ok());
    }

    async fn run<T: Send + 'static>(
        pool: &Pool,
        work: impl FnOnce(&mut Blocks) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        pool.run(Purpose::NewHash, &workspace("a"), work).await
    }

    #[test]
    fn the_blocks_of_a_run_are_reused_by_later_runs() {
        let pool = Pool::start(1, 0, 0).unwrap();
        // The first word is zero until a run has written it.
        let write = |blocks: &mut Blocks| {
            let block = blocks.get(1).unwrap().first_mut().unwrap();
            std::mem::replace(block.as_mut().first_mut().unwrap(), 1) == 1
        };
        // A run may start before the previous run has returned its blocks. But there are never more
        // sets of blocks than threads, so one run more than that reuses a set.
        let threads = thread::available_parallelism().unwrap().get();
        assert!((0..=threads).any(|_| block_on(run(&pool, write)).unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_are_nicer_than_the_thread_that_starts_them() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        for nicer in [0, 5] {
            let pool = Pool::start(1, 0, nicer).unwrap();
            let on_pool = block_on(run(&pool, move |_| niceness())).unwrap();
            assert_eq!(on_pool, (niceness() + i32::from(nicer)).min(19));
        }
    }

    #[test]
    fn a_panic_in_a_job_does_not_affect_other_jobs() {
        let pool = Pool::start(8, 0, 0).unwrap();
        for _ in 0..8 {
            let lost = block_on(run(&pool, |_| panic!("a bug in a job")));
            assert!(matches!(lost, Err::<(), _>(PoolError::Lost)));
        }
        assert!(matches!(block_on(run(&pool, |_| 7)), Ok(7)));
    }
}
