//! A thread that does what waits in a bounded queue.

use std::{
    fmt, io,
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rusqlite::Connection;

use crate::error::{Error, Result};

/// Most jobs that may wait.
const QUEUE: usize = 1024;

/// A queue, and the thread behind it with a connection of its own. When this is dropped the thread
/// finishes what is queued, closes its connection and ends.
pub(crate) struct Worker<J> {
    // The order matters: it is the end of the queue that ends the thread.
    jobs: Sender<J>,
    _thread: Thread,
}

impl<J: Send + 'static> Worker<J> {
    pub(crate) fn start(
        name: &str,
        connection: Connection,
        work: impl FnOnce(&Connection, &Receiver<J>) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || work(&connection, &queue))?;
        Ok(Self {
            jobs,
            _thread: Thread::new(thread),
        })
    }

    pub(crate) fn submit(&self, job: J) -> Result<()> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::QueueFull,
            TrySendError::Disconnected(_) => Error::Lost,
        })
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("waiting", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

/// A thread that is waited for when this is dropped.
#[derive(Debug)]
pub(crate) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    pub(crate) const fn new(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // An answer may wake whoever drops the store right there, on the thread that answers; a
        // thread cannot wait for itself.
        if let Some(thread) = self.0.take()
            && thread.thread().id() != thread::current().id()
        {
            // It catches the panics of its jobs; there is nobody to tell of another one.
            let _ = thread.join();
        }
    }
}
