//! Threads that end with their owner.

use std::thread::{self, JoinHandle};

/// A thread that is joined when this handle is dropped.
///
/// A store that works on threads keeps a `JoinOnDrop` for each, so that dropping the store finishes
/// all of its work and closes all of its connections. Dropping the handle does not stop the thread:
/// the owner makes it end first, for example by dropping the sender of its queue. Fields are
/// dropped in the order in which they are declared.
///
/// On the thread itself, dropping the handle does not wait. A job that sends a result to a caller
/// may run the caller's waker, which may drop the owner of the thread.
///
/// ```
/// use std::{sync::mpsc, thread};
///
/// use keywright_core::store::JoinOnDrop;
///
/// struct Worker {
///     jobs: mpsc::Sender<u32>,
///     _thread: JoinOnDrop,
/// }
///
/// let (results, received) = mpsc::channel();
/// let (jobs, queue) = mpsc::channel();
/// let thread = thread::Builder::new().name("worker".into()).spawn(move || {
///     for job in queue {
///         let _ = results.send(2 * job);
///     }
/// })?;
/// let worker = Worker { jobs, _thread: JoinOnDrop::new(thread) };
/// worker.jobs.send(21)?;
/// drop(worker);
/// assert_eq!(received.try_recv(), Ok(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JoinOnDrop(Option<JoinHandle<()>>);

impl JoinOnDrop {
    /// Wraps a thread.
    #[must_use]
    pub const fn new(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic of the thread must not become a panic in a destructor.
            let _ = thread.join();
        }
    }
}
