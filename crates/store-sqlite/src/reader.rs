//! The threads that read.

use std::{
    io, iter,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crossbeam_channel::Receiver;
use futures_channel::oneshot;
use keywright_core::store::StoreError;
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    file_identity::FileIdentity,
    worker::Worker,
};

/// The number of finds that may share one transaction.
const BATCH: usize = 64;

/// A job that is called with the connection, or with the reason why the store cannot be read.
type ReadJob = Box<dyn FnOnce(Result<&Connection>) + Send>;

/// Two threads with read-only connections, one for finds and one for lists.
///
/// A find, on which a verification waits, is never queued behind a long search. Neither thread
/// waits for the writer.
#[derive(Debug)]
pub(crate) struct Readers {
    finds: Worker<ReadJob>,
    lists: Worker<ReadJob>,
}

impl Readers {
    pub(crate) fn start([finds, lists]: [Connection; 2], files: &FileIdentity) -> io::Result<Self> {
        let start = |name, connection, batch| {
            let files = files.clone();
            Worker::start(name, connection, move |connection: &_, jobs: &_| {
                serve(connection, jobs, batch, &files);
            })
        };
        Ok(Self {
            finds: start("kw-sqlite-find", finds, BATCH)?,
            lists: start("kw-sqlite-list", lists, 1)?,
        })
    }

    /// Runs work that reads a few rows.
    pub(crate) async fn find<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(&self.finds, work).await
    }

    /// Runs work that reads any number of rows.
    pub(crate) async fn list<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(&self.lists, work).await
    }
}

async fn run<T: Send + 'static>(
    worker: &Worker<ReadJob>,
    work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = oneshot::channel();
    worker.submit(Box::new(move |connection| {
        // A read is skipped if its caller has dropped the future.
        if !sender.is_canceled() {
            let _ = sender.send(connection.and_then(work));
        }
    }))?;
    Ok(receiver.await.unwrap_or(Err(Error::JobLost))?)
}

/// Runs jobs until the queue is disconnected, up to `max_batch` of them in one transaction.
///
/// A transaction costs system calls for its locks, and so does the check of the files. Waiting jobs
/// share both. Both happen after all jobs of the batch were submitted, so that no job sees a state
/// from before its submission.
fn serve(
    connection: &Connection,
    jobs: &Receiver<ReadJob>,
    max_batch: usize,
    files: &FileIdentity,
) {
    for job in jobs {
        let batch: Vec<ReadJob> = iter::once(job)
            .chain(jobs.try_iter().take(max_batch - 1))
            .collect();
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
            let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
        }
    }
}
