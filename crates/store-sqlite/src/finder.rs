//! The thread that finds records.

use std::{
    io, iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crossbeam_channel::Receiver;
use futures_channel::oneshot;
use keywright_core::store::StoreError;
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    file_identity::FileIdentity,
    gate::{Gate, Gates},
    worker::Worker,
};

/// The number of finds that may share one transaction.
const BATCH: usize = 64;

/// A thread with a read-only connection for work that reads a few rows.
///
/// A find, on which a verification waits, is never queued behind a list. It does not wait for a
/// commit, but pauses while the writer restarts a long log.
#[derive(Debug)]
pub(crate) struct Finder(Worker<Box<dyn ReadJob>>);

impl Finder {
    pub(crate) fn start(
        connection: Connection,
        files: FileIdentity,
        gates: Arc<Gates>,
    ) -> io::Result<Self> {
        let work = move |connection: &_, jobs: &_| serve(connection, jobs, &files, &gates.finds);
        Worker::start("kw-sqlite-find", connection, work).map(Self)
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
    /// Does the work, with the connection or with the reason why the store cannot be read.
    fn run(&mut self, connection: Result<&Connection>);

    /// Answers the caller, outside a transaction.
    fn answer(self: Box<Self>);
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
        // A read is skipped if its caller has dropped the future.
        if let Some(work) = self.work.take().filter(|_| !self.sender.is_canceled()) {
            self.result = connection.and_then(work);
        }
    }

    fn answer(self: Box<Self>) {
        // The caller may have dropped its future.
        let _ = self.sender.send(self.result);
    }
}

/// Runs jobs until the queue is disconnected, up to [`BATCH`] of them in one transaction.
///
/// A transaction costs system calls for its locks, and so does the check of the files. Waiting jobs
/// share both. Both happen after all jobs of the batch were submitted, so that no job sees a state
/// from before its submission.
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
        // An answer wakes the caller, which may run code of the host on this thread. That must not
        // keep the writer waiting.
        for job in batch {
            let _ = catch_unwind(AssertUnwindSafe(|| job.answer()));
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
