//! The thread that finds records.

use std::{
    io, iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Receiver},
};

use futures_channel::oneshot;
use keywright_core::store::StoreError;
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    file_identity::FileIdentity,
    gate::{Gate, Gates},
    worker::Worker,
};

/// The number of finds that may wait. After a restart, each connection of a host may present
/// another key at the same time.
const QUEUE: usize = 16_384;

/// The number of finds that may share one transaction.
const BATCH: usize = 64;

/// A thread with a read-only connection for work that reads only a few rows.
///
/// A verification waits for a find, so a find never waits for a list or a commit. It waits only
/// while the writer restarts a long log.
#[derive(Debug)]
pub(crate) struct Finder(Worker<Box<dyn ReadJob>>);

impl Finder {
    pub(crate) fn start(
        connection: Connection,
        files: FileIdentity,
        gates: Arc<Gates>,
    ) -> io::Result<Self> {
        let work = move |connection: &_, jobs: &_| serve(connection, jobs, &files, &gates.finds);
        Worker::start("kw-sqlite-find", QUEUE, connection, work).map(Self)
    }

    /// Runs work that reads a few rows.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.0.submit(Box::new(Read {
            work: Some(work),
            result: Err(Error::JobLost),
            sender,
        }))?;
        Ok(receiver.await.unwrap_or(Err(Error::JobLost))?)
    }
}

/// A read, and the caller that waits for it.
trait ReadJob: Send {
    /// Does the work with the connection, or fails with the error that prevents reads.
    fn run(&mut self, connection: Result<&Connection>);

    /// Sends the result to the caller. Must be called outside a transaction.
    fn send_result(self: Box<Self>);
}

struct Read<W, T> {
    work: Option<W>,
    result: Result<T>,
    sender: oneshot::Sender<Result<T>>,
}

impl<W, T> ReadJob for Read<W, T>
where
    W: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: Result<&Connection>) {
        // Skip the read if its caller has dropped the future.
        if let Some(work) = self.work.take().filter(|_| !self.sender.is_canceled()) {
            self.result = connection.and_then(work);
        }
    }

    fn send_result(self: Box<Self>) {
        // The caller may have dropped its future.
        let _ = self.sender.send(self.result);
    }
}

/// Runs jobs until the queue is disconnected, up to [`BATCH`] of them in one transaction.
///
/// The locks of a transaction and the check of the files take system calls, so waiting jobs share
/// both. Both happen after all jobs of the batch were submitted, so no job sees a state from before
/// its submission.
fn serve(
    connection: &Connection,
    jobs: &Receiver<Box<dyn ReadJob>>,
    files: &FileIdentity,
    gate: &Gate,
) {
    for job in jobs {
        let mut batch: Vec<Box<dyn ReadJob>> = iter::once(job)
            .chain(jobs.try_iter().take(BATCH - 1))
            .collect();
        read(connection, &mut batch, files, gate);
        // A result wakes the caller, which may run code of the host on this thread. That must not
        // keep the writer waiting, so the gate is open again here.
        for job in batch {
            let _ = catch_unwind(AssertUnwindSafe(|| job.send_result()));
        }
    }
}

/// Runs the jobs of a batch inside the gate.
fn read(
    connection: &Connection,
    batch: &mut [Box<dyn ReadJob>],
    files: &FileIdentity,
    gate: &Gate,
) {
    let _inside = gate.enter();
    let is_intact = files.is_intact();
    // If this fails, each job reads in its own transaction.
    let _transaction = (batch.len() > 1).then(|| connection.unchecked_transaction());
    for job in batch {
        let connection = if is_intact {
            Ok(connection)
        } else {
            Err(files.error())
        };
        // A panic ends this job, not the thread. The caller gets `JobLost`.
        let _ = catch_unwind(AssertUnwindSafe(|| job.run(connection)));
    }
}
