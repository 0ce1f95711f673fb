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
    place::Place,
    worker::Worker,
};

/// Most jobs that read in one transaction.
const BATCH: usize = 64;

/// It is given the connection, or why nothing may be read.
type Job = Box<dyn FnOnce(Result<&Connection>) + Send>;

/// Two threads with connections that only read, one for what is quick and one for what may take
/// long: no verification waits behind a search. Neither waits for a writer.
#[derive(Debug)]
pub(crate) struct Readers {
    finds: Worker<Job>,
    lists: Worker<Job>,
}

impl Readers {
    pub(crate) fn start([finds, lists]: [Connection; 2], place: &Place) -> io::Result<Self> {
        let start = |name, connection, batch| {
            let place = place.clone();
            Worker::start(name, connection, move |connection: &_, jobs: &_| {
                serve(connection, jobs, batch, &place);
            })
        };
        Ok(Self {
            finds: start("kw-sqlite-find", finds, BATCH)?,
            lists: start("kw-sqlite-list", lists, 1)?,
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
            let _ = caller.send(connection.and_then(work));
        }
    }))?;
    Ok(answer.await.unwrap_or(Err(Error::Lost))?)
}

/// Each transaction costs system calls for its locks, and so does each look at the place, so what
/// waits shares them. Both come after all jobs of the batch were submitted: none of them sees an older
/// state than it must.
fn serve(connection: &Connection, jobs: &Receiver<Job>, most: usize, place: &Place) {
    for job in jobs {
        let batch: Vec<Job> = iter::once(job)
            .chain(jobs.try_iter().take(most - 1))
            .collect();
        let is_whole = place.is_whole();
        // Without one, each job reads in a transaction of its own.
        let _transaction = (batch.len() > 1).then(|| connection.unchecked_transaction());
        for job in batch {
            let connection = if is_whole {
                Ok(connection)
            } else {
                Err(place.failure())
            };
            // A panic ends the job, whose caller learns that it was lost, and not the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
        }
    }
}
