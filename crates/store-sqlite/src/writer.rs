//! The thread that writes: whatever waits is committed in one transaction.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crossbeam_channel::Receiver;
use futures_channel::oneshot;
use keywright_core::{Lease, StoreError};
use rusqlite::Connection;

use crate::{
    changes::{self, Changed},
    error::{Error, Result},
    place::Place,
    schema,
    worker::Worker,
    write_back::{self, Log},
};

/// Most jobs of one transaction. It bounds how long the first of them waits for its answer.
const BATCH: usize = 256;

/// The one thread of a store that writes.
#[derive(Debug)]
pub(crate) struct Writer(Worker<Box<dyn Job>>);

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        log: Log,
        place: Place,
        lease: Arc<Lease>,
    ) -> io::Result<Self> {
        let work = move |connection: &_, jobs: &Receiver<Box<dyn Job>>| {
            for job in jobs {
                serve(connection, job, jobs, &place, &lease);
                // Nobody waits for this but whoever comes next.
                log.write_back(connection, &place);
            }
            write_back::before_close(connection, &place);
        };
        Worker::start("kw-sqlite-write", connection, work).map(Self)
    }

    /// Does the work in a transaction that others may share, and returns when it is on the disk.
    /// Work that fails must leave nothing behind: it checks before its one write, or it is
    /// [`atomic`]. It is done also if the future is dropped meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(work, Effect::Untold).await
    }

    /// The same for work that changes records: before it returns, those who keep copies are told
    /// what it has [noted](changes::note).
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(work, Effect::Told).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        effect: Effect,
    ) -> Result<T, StoreError> {
        let (caller, answer) = oneshot::channel();
        self.0.submit(Box::new(Write {
            work: Some(work),
            effect,
            outcome: Err(Error::Lost),
            caller,
        }))?;
        answer.await.unwrap_or(Err(Error::Lost.into()))
    }
}

/// Several writes of which all are done or none, whatever becomes of the rest of the transaction.
pub(crate) fn atomic<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    execute(connection, "SAVEPOINT job")?;
    let outcome = work();
    // On some failures SQLite has undone the whole transaction already.
    if outcome.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK TO job").or_else(|_| execute(connection, "ROLLBACK"))?;
    }
    if !connection.is_autocommit() {
        execute(connection, "RELEASE job")?;
    }
    outcome
}

/// Whether a write is one that those who keep copies must know of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Told,
    Untold,
}

/// A write and whoever waits for it.
trait Job: Send {
    fn effect(&self) -> Effect;

    /// Does the work, in an open transaction.
    fn run(&mut self, connection: &Connection);

    /// Tells the caller, once it is known what has become of the transaction.
    fn answer(self: Box<Self>, transaction: &Result<(), Arc<Error>>);
}

struct Write<W, T> {
    work: Option<W>,
    effect: Effect,
    outcome: Result<T>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Job for Write<W, T>
where
    W: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn effect(&self) -> Effect {
        self.effect
    }

    fn run(&mut self, connection: &Connection) {
        if let Some(work) = self.work.take() {
            self.outcome = work(connection);
        }
    }

    fn answer(self: Box<Self>, transaction: &Result<(), Arc<Error>>) {
        let answer = match (transaction, self.outcome) {
            (Ok(()), outcome) => outcome.map_err(StoreError::from),
            // The failure that undid the transaction says more than that it was undone.
            (Err(_), Err(own @ Error::Sqlite(_))) => Err(own.into()),
            (Err(shared), _) => Err(shared.shared()),
        };
        // Whoever asked may be gone; the work was done all the same.
        let _ = self.caller.send(answer);
    }
}

/// Does the job and whatever else is waiting.
fn serve(
    connection: &Connection,
    job: Box<dyn Job>,
    jobs: &Receiver<Box<dyn Job>>,
    place: &Place,
    lease: &Lease,
) {
    let mut batch = vec![job];
    let transaction = if place.is_lost() {
        // One more commit would have the log written back and begun anew, and it is all that is left.
        Err(Error::NotSynced)
    } else {
        transact(connection, jobs, &mut batch).and_then(|changed| {
            // What is acknowledged was committed to files that were still there afterwards.
            place.check()?;
            Ok(changed)
        })
    };
    // Committed, told, acknowledged: in this order.
    match &transaction {
        Ok(changed) => changed.tell(lease),
        Err(_) => {
            roll_back(connection);
            lease.changed_all();
        }
    }
    let transaction = transaction.map(|_| ()).map_err(Arc::new);
    for job in batch {
        // An answer wakes its caller, which may do anything on this thread.
        let _ = catch_unwind(AssertUnwindSafe(|| job.answer(&transaction)));
    }
}

/// Runs the batch, which grows by whatever else is waiting, in one transaction, and tells which records
/// that has changed.
fn transact(
    connection: &Connection,
    jobs: &Receiver<Box<dyn Job>>,
    batch: &mut Vec<Box<dyn Job>>,
) -> Result<Changed> {
    if let Err(error) = begin(connection) {
        // Others would wait as long for the same failure.
        batch.extend(jobs.try_iter().take(BATCH - 1));
        return Err(error);
    }
    let mut done = 0;
    let mut noted_before = None;
    while let Some(job) = batch.get_mut(done) {
        if noted_before.is_none() && job.effect() == Effect::Told {
            noted_before = Some(changes::latest(connection)?);
        }
        catch_unwind(AssertUnwindSafe(|| job.run(connection))).map_err(|_| Error::Lost)?;
        if connection.is_autocommit() {
            return Err(Error::RolledBack);
        }
        done += 1;
        if done < BATCH {
            batch.extend(jobs.try_recv());
        }
    }
    let changed = match noted_before {
        Some(number) => {
            let changed = Changed::since(connection, number)?.0;
            changes::prune(connection)?;
            changed
        }
        None => Changed::Records(Vec::new()),
    };
    execute(connection, "COMMIT")?;
    Ok(changed)
}

fn begin(connection: &Connection) -> Result<()> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let found = schema::version(connection)?;
    if found > schema::VERSION {
        return Err(Error::NewerSchema {
            found,
            known: schema::VERSION,
        });
    }
    Ok(())
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // Should even this fail, then so does the next transaction, and it is tried again.
        let _ = execute(connection, "ROLLBACK");
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute(())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use futures_executor::block_on;
    use keywright_core::{KeyStore, StoreErrorKind};
    use tempfile::TempDir;

    use super::*;
    use crate::{operations, record::NewRow, sample, store::SqliteStore};

    type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

    fn store() -> (TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
        (folder, store)
    }

    /// Submits a job and does not wait for it.
    fn submit(
        writer: &Writer,
        work: impl FnOnce(&Connection) -> Result<()> + Send + 'static,
    ) -> Answer<'_> {
        let mut answer: Answer<'_> = Box::pin(writer.run(work));
        // The writer may have answered before this looks.
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => answer,
            Poll::Ready(done) => Box::pin(ready(done)),
        }
    }

    fn submit_insert(writer: &Writer, number: u32) -> Answer<'_> {
        let row = NewRow::new(&sample::record(number)).unwrap();
        submit(writer, move |connection| {
            operations::insert(connection, &row, sample::now())
        })
    }

    fn kind(answer: Answer<'_>) -> Option<StoreErrorKind> {
        block_on(answer).err().map(|error| error.kind())
    }

    fn is_stored(store: &SqliteStore, number: u32) -> bool {
        block_on(store.find(&sample::id(number))).unwrap().is_some()
    }

    /// Keeps the writer inside a transaction, so that what is submitted next shares it.
    fn hold(writer: &Writer) -> (crossbeam_channel::Sender<()>, Answer<'_>) {
        let (release, held) = crossbeam_channel::bounded::<()>(0);
        let answer = submit(writer, move |_| {
            let _ = held.recv();
            Ok(())
        });
        (release, answer)
    }

    #[test]
    fn a_panic_undoes_its_transaction_and_the_thread_lives_on() {
        let (_folder, store) = store();
        let writer = store.writer();
        let (release, holding) = hold(writer);
        let before = submit_insert(writer, 1);
        let panicking = submit(writer, |_| panic!("a bug in a job"));
        drop(release);
        for answer in [holding, before, panicking] {
            assert_eq!(kind(answer), Some(StoreErrorKind::Unavailable));
        }
        assert!(!is_stored(&store, 1));
        assert_eq!(kind(submit_insert(writer, 1)), None);
        assert!(is_stored(&store, 1));
    }

    #[test]
    fn a_full_disk_acknowledges_nothing_and_reads_go_on() {
        let (_folder, store) = store();
        let writer = store.writer();
        assert_eq!(kind(submit_insert(writer, 0)), None);
        // The least that SQLite takes is as many pages as there are.
        let limit_pages = |pages: u32| {
            kind(submit(writer, move |connection| {
                let sql = format!("PRAGMA max_page_count = {pages}");
                connection.query_one(&sql, (), |_| Ok(()))?;
                Ok(())
            }))
        };
        assert_eq!(limit_pages(1), None);
        let (release, holding) = hold(writer);
        let answers: Vec<_> = (1..100)
            .map(|number| submit_insert(writer, number))
            .collect();
        drop(release);
        let kinds: Vec<_> = [holding].into_iter().chain(answers).map(kind).collect();
        let full = Some(StoreErrorKind::Unavailable);
        assert!(kinds.contains(&full));
        assert!(is_stored(&store, 0));
        assert_eq!(limit_pages(u32::MAX), None);
        for (number, failed) in (0..).zip(kinds).skip(1) {
            assert_eq!(is_stored(&store, number), failed.is_none(), "{number}");
            let again = submit_insert(writer, number);
            let taken = failed.is_none().then_some(StoreErrorKind::AlreadyExists);
            assert_eq!(kind(again), taken);
        }
    }

    #[test]
    fn a_full_queue_is_told_at_once_and_what_was_taken_is_done() {
        let (_folder, store) = store();
        let writer = store.writer();
        let (release, holding) = hold(writer);
        let mut taken = Vec::new();
        let refused = loop {
            let mut answer: Answer<'_> = Box::pin(writer.run(|_| Ok(())));
            match answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Pending => taken.push(answer),
                Poll::Ready(refused) => break refused,
            }
        };
        assert_eq!(
            refused.map_err(|error| error.kind()),
            Err(StoreErrorKind::Unavailable)
        );
        // The job that holds the writer may not have left the queue yet.
        assert!(taken.len() >= 1023);
        drop(release);
        assert_eq!(kind(holding), None);
        assert!(taken.into_iter().all(|answer| kind(answer).is_none()));
    }

    #[test]
    fn a_job_of_several_writes_leaves_nothing_when_it_fails() {
        let (_folder, store) = store();
        let writer = store.writer();
        let (release, holding) = hold(writer);
        let before = submit_insert(writer, 1);
        let failing = submit(writer, |connection| {
            atomic(connection, || {
                for number in [2, 3, 1] {
                    let row = NewRow::new(&sample::record(number))?;
                    operations::insert(connection, &row, sample::now())?;
                }
                Ok(())
            })
        });
        let after = submit_insert(writer, 4);
        drop(release);
        assert_eq!(kind(failing), Some(StoreErrorKind::AlreadyExists));
        for answer in [holding, before, after] {
            assert_eq!(kind(answer), None);
        }
        let stored: Vec<_> = (1..5).filter(|number| is_stored(&store, *number)).collect();
        assert_eq!(stored, [1, 4]);
    }
}
