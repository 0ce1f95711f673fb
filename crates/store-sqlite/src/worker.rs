//! A thread with a bounded queue of jobs and its own connection.

use std::{
    fmt, io,
    sync::mpsc::{self, Receiver, SyncSender, TrySendError},
    thread,
};

use keywright_core::store::JoinOnDrop;
use rusqlite::Connection;

use crate::error::{Error, Result};

/// A queue and the thread that serves it.
///
/// When this is dropped, the thread finishes the queued jobs, closes its connection and ends.
pub(crate) struct Worker<J> {
    // This field is dropped first, which disconnects the queue and ends the thread.
    jobs: SyncSender<J>,
    _thread: JoinOnDrop,
}

impl<J: Send + 'static> Worker<J> {
    /// Starts the thread, with a queue for `places` jobs.
    pub(crate) fn start(
        name: &str,
        places: usize,
        connection: Connection,
        work: impl FnOnce(&Connection, &Receiver<J>) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(places);
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || work(&connection, &queue))?;
        Ok(Self {
            jobs,
            _thread: JoinOnDrop::new(thread),
        })
    }

    pub(crate) fn submit(&self, job: J) -> Result<()> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::QueueFull,
            TrySendError::Disconnected(_) => Error::JobLost,
        })
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
