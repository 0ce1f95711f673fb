//! The threads that read.

use std::{
    io, iter,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crossbeam_channel::Receiver;
use futures_channel::oneshot;
use keywright_core::StoreError;
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    worker::Worker,
};

/// Most jobs that read in one transaction.
const BATCH: usize = 64;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Two threads with connections that only read, one for what is quick and one for what may take
/// long: no verification waits behind a search. Neither waits for a writer.
#[derive(Debug)]
pub(crate) struct Readers {
    finds: Worker<Job>,
    lists: Worker<Job>,
}

impl Readers {
    pub(crate) fn start([finds, lists]: [Connection; 2]) -> io::Result<Self> {
        Ok(Self {
            finds: Worker::start("kw-sqlite-find", finds, serve_together)?,
            lists: Worker::start("kw-sqlite-list", lists, serve_one_by_one)?,
        })
    }

    /// Reads a row or so.
    pub(crate) async fn find<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(&self.finds, work).await
    }

    /// Reads any number of rows.
    pub(crate) async fn list<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(&self.lists, work).await
    }
}

async fn run<T: Send + 'static>(
    worker: &Worker<Job>,
    work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let (caller, answer) = oneshot::channel();
    worker.submit(Box::new(move |connection| {
        // Nobody misses a read whose caller has gone.
        if !caller.is_canceled() {
            let _ = caller.send(work(connection));
        }
    }))?;
    Ok(answer.await.unwrap_or(Err(Error::Lost))?)
}

/// Each transaction costs system calls for its locks, so whatever waits shares one. It begins after
/// all of its jobs were submitted: none of them sees an older state than it must.
fn serve_together(connection: &Connection, jobs: &Receiver<Job>) {
    for job in jobs {
        let batch: Vec<Job> = iter::once(job)
            .chain(jobs.try_iter().take(BATCH - 1))
            .collect();
        // Without one, each job reads in a transaction of its own.
        let _transaction = (batch.len() > 1).then(|| connection.unchecked_transaction());
        for job in batch {
            serve(connection, job);
        }
    }
}

fn serve_one_by_one(connection: &Connection, jobs: &Receiver<Job>) {
    for job in jobs {
        serve(connection, job);
    }
}

/// A panic ends the job, whose caller learns that it was lost, and not the thread.
fn serve(connection: &Connection, job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
}
