//! The thread that writes: it commits all waiting jobs in one transaction.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
};

use futures_channel::oneshot;
use keywright_core::store::{Lease, StoreError, StoreErrorKind};
use rusqlite::Connection;

use crate::{
    changes::{self, Changed},
    checkpoint::{self, Checkpointer},
    error::{Error, Result},
    file_identity::FileIdentity,
    savepoint::execute,
    schema,
    worker::Worker,
};

/// The number of jobs that may wait.
const QUEUE: usize = 1024;

/// The number of jobs that may share one transaction. It bounds how long the first of them waits
/// for its result.
const BATCH: usize = 256;

/// The thread of a store that writes.
#[derive(Debug)]
pub(crate) struct Writer(Worker<Box<dyn WriteJob>>);

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        mut checkpointer: Checkpointer,
        files: FileIdentity,
        lease: Arc<Lease>,
    ) -> io::Result<Self> {
        let work = move |connection: &_, jobs: &Receiver<Box<dyn WriteJob>>| {
            loop {
                match jobs.recv_timeout(checkpointer.time_left()) {
                    Ok(job) => {
                        serve(connection, job, jobs, &files, &lease);
                        // The callers of this batch already have their results.
                        checkpointer.after_commit(connection, &files);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if checkpointer.time_left().is_zero() {
                    checkpointer.run(connection, &files);
                }
            }
            // Closing this connection does not checkpoint if another process has the file open.
            checkpointer.run(connection, &files);
            checkpoint::keep_log_if_unsynced(connection, &files);
        };
        Worker::start("kw-sqlite-write", QUEUE, connection, work).map(Self)
    }

    /// Runs work that changes no record that a verifier may have cached, and returns once it is
    /// durable.
    ///
    /// Other jobs may share the transaction. So work that fails must leave nothing behind: it
    /// checks before its only write, or runs its writes with [`atomic`](crate::savepoint::atomic)
    /// or [`or_roll_back`](crate::savepoint::or_roll_back).
    /// The work is done even if the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(work, Effect::Nothing).await
    }

    /// Runs work that changes records, like [`run`](Self::run). Before this returns, the cached
    /// copies of the records that the work [appended](changes::append) are invalidated.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(work, Effect::Records).await
    }

    /// Runs work that changes the stage of the store, like [`run`](Self::run), even if the store is
    /// sealed.
    pub(crate) async fn change_stage<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(work, Effect::Stage).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        effect: Effect,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.0.submit(Box::new(Write {
            work: Some(work),
            effect,
            result: Err(Error::JobLost),
            sender,
        }))?;
        receiver.await.unwrap_or(Err(Error::JobLost.into()))
    }
}

/// The effect of a job: it changes records that verifiers may have cached, nothing of them, or
/// the stage of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Records,
    Nothing,
    Stage,
}

/// A write, and the caller that waits for it.
trait WriteJob: Send {
    fn effect(&self) -> Effect;

    /// Does the work, in an open transaction.
    fn run(&mut self, connection: &Connection);

    /// Sets the result of a job that must not run.
    fn reject(&mut self, error: Error);

    /// Answers the caller, after the transaction was committed or has failed.
    fn send_result(self: Box<Self>, transaction: &Result<(), Arc<Error>>);
}

struct Write<W, T> {
    work: Option<W>,
    effect: Effect,
    result: Result<T>,
    sender: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> WriteJob for Write<W, T>
where
    W: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn effect(&self) -> Effect {
        self.effect
    }

    fn run(&mut self, connection: &Connection) {
        if let Some(work) = self.work.take() {
            self.result = work(connection);
        }
    }

    fn reject(&mut self, error: Error) {
        self.result = Err(error);
    }

    fn send_result(self: Box<Self>, transaction: &Result<(), Arc<Error>>) {
        let answer = match (transaction, self.result) {
            (Ok(()), result) => result.map_err(StoreError::from),
            // This error of the job may have caused the rollback, so it says more than the shared
            // one.
            (Err(_), Err(own @ Error::Sqlite(_))) => Err(own.into()),
            (Err(shared), _) => Err(shared.to_shared()),
        };
        // The caller may have dropped its future.
        let _ = self.sender.send(answer);
    }
}

/// Runs the job together with the other waiting jobs, and sends their results.
fn serve(
    connection: &Connection,
    job: Box<dyn WriteJob>,
    jobs: &Receiver<Box<dyn WriteJob>>,
    files: &FileIdentity,
    lease: &Lease,
) {
    let mut batch = vec![job];
    let transaction = if files.is_unsynced() {
        // Another commit could make SQLite checkpoint and restart the log, which holds the only
        // complete copy.
        Err(Error::Unsynced)
    } else {
        commit_batch(connection, jobs, &mut batch).and_then(|changed| {
            // The commit counts only if it went to files that are still in place after it.
            files.check()?;
            Ok(changed)
        })
    };
    // The order is: commit, invalidate the cached copies, send the results. So no verification that
    // begins after a caller has its result uses a copy from before the change.
    match &transaction {
        Ok(changed) => changed.notify(lease),
        Err(_) => {
            roll_back(connection);
            lease.changed_all();
        }
    }
    let transaction = transaction.map(|_| ()).map_err(Arc::new);
    for job in batch {
        // Answering wakes the caller, which may run code of the host on this thread.
        let _ = catch_unwind(AssertUnwindSafe(|| job.send_result(&transaction)));
    }
}

/// Runs the batch, to which waiting jobs are added, in one transaction. Returns the records that it
/// changed.
fn commit_batch(
    connection: &Connection,
    jobs: &Receiver<Box<dyn WriteJob>>,
    batch: &mut Vec<Box<dyn WriteJob>>,
) -> Result<Changed> {
    let is_sealed = match begin(connection) {
        Ok(is_sealed) => is_sealed,
        Err(error) => {
            // The other waiting jobs would each wait just as long for the same failure.
            batch.extend(jobs.try_iter().take(BATCH - 1));
            return Err(error);
        }
    };
    let mut done = 0;
    let mut last_entry_before = None;
    while let Some(job) = batch.get_mut(done) {
        if last_entry_before.is_none() && job.effect() == Effect::Records {
            last_entry_before = Some(changes::latest(connection)?);
        }
        if is_sealed && job.effect() != Effect::Stage {
            job.reject(StoreErrorKind::Moved.into());
        } else {
            catch_unwind(AssertUnwindSafe(|| job.run(connection))).map_err(|_| Error::JobLost)?;
        }
        if connection.is_autocommit() {
            return Err(Error::RolledBack);
        }
        done += 1;
        if done < BATCH {
            batch.extend(jobs.try_recv());
        }
    }
    let changed = match last_entry_before {
        Some(number) => {
            let (changed, _) = Changed::since(connection, number)?;
            changes::prune(connection)?;
            changed
        }
        None => Changed::Records(Vec::new()),
    };
    execute(connection, "COMMIT")?;
    Ok(changed)
}

/// Begins a transaction, if no newer program has migrated the file. Returns whether the store is
/// sealed.
fn begin(connection: &Connection) -> Result<bool> {
    execute(connection, "BEGIN IMMEDIATE")?;
    schema::check_version(connection)
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // If this fails, the next transaction cannot begin. It fails as well, and rolls back again.
        let _ = execute(connection, "ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        pin::Pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use futures_executor::block_on;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        checkpoint::Limits,
        config::SqliteConfig,
        connection,
        event::NewEvent,
        open::{self, Opened},
        operations,
        record::{self, NewRow},
        sample,
        savepoint::atomic,
    };

    type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

    /// A writer, and a connection that reads what it has written.
    struct Fixture {
        writer: Writer,
        reader: Connection,
        _folder: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keys.db");
            let Opened { path, writer, .. } = open::open(&path, SqliteConfig::new()).unwrap();
            let checkpointer =
                Checkpointer::attach(&writer, Arc::default(), Limits::default()).unwrap();
            let reader = connection::open_reader(&path).unwrap();
            let files = FileIdentity::of(path).unwrap();
            let lease = Arc::new(Lease::lapsed());
            Self {
                writer: Writer::start(writer, checkpointer, files, lease).unwrap(),
                reader,
                _folder: folder,
            }
        }

        /// Whether this key is stored. A key has an event exactly if it is stored.
        fn is_stored(&self, number: u32) -> bool {
            let id = sample::id(number);
            let is_stored = record::find(&self.reader, &id).unwrap().is_some();
            let has_event: bool = self
                .reader
                .query_one(
                    "SELECT EXISTS (SELECT 1 FROM keywright_events WHERE key = ?1)",
                    [id.as_bytes()],
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(has_event, is_stored);
            is_stored
        }
    }

    /// Submits a job without waiting for it.
    fn submit(
        writer: &Writer,
        work: impl FnOnce(&Connection) -> Result<()> + Send + 'static,
    ) -> Answer<'_> {
        let mut answer: Answer<'_> = Box::pin(writer.run(work));
        // The writer may have answered already.
        match answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => answer,
            Poll::Ready(done) => Box::pin(ready(done)),
        }
    }

    fn submit_insert(writer: &Writer, number: u32) -> Answer<'_> {
        let record = sample::record(number);
        let event = NewEvent::new(&sample::created(&record.key)).unwrap();
        let row = NewRow::new(&record).unwrap();
        submit(writer, move |connection| {
            operations::insert(connection, &row, sample::now(), Some(&event))
        })
    }

    fn kind(answer: Answer<'_>) -> Option<StoreErrorKind> {
        block_on(answer).err().map(|error| error.kind())
    }

    /// Keeps the writer inside a transaction until the sender is dropped. Jobs that are submitted
    /// in the meantime share the transaction.
    fn hold(writer: &Writer) -> (mpsc::Sender<()>, Answer<'_>) {
        let (release, released) = mpsc::channel::<()>();
        let answer = submit(writer, move |_| {
            let _ = released.recv();
            Ok(())
        });
        (release, answer)
    }

    #[test]
    fn a_panic_rolls_back_its_transaction_and_the_thread_continues() {
        let fixture = Fixture::new();
        let writer = &fixture.writer;
        let (release, held) = hold(writer);
        let before = submit_insert(writer, 1);
        let panicking = submit(writer, |_| panic!("a bug in a job"));
        drop(release);
        for answer in [held, before, panicking] {
            assert_eq!(kind(answer), Some(StoreErrorKind::Unavailable));
        }
        assert!(!fixture.is_stored(1));
        assert_eq!(kind(submit_insert(writer, 1)), None);
        assert!(fixture.is_stored(1));
    }

    #[test]
    fn on_a_full_disk_writes_fail_and_reads_continue() {
        let fixture = Fixture::new();
        let writer = &fixture.writer;
        assert_eq!(kind(submit_insert(writer, 0)), None);
        // SQLite raises a lower limit to the current number of pages.
        let limit_pages = |pages: u32| {
            kind(submit(writer, move |connection| {
                let sql = format!("PRAGMA max_page_count = {pages}");
                connection.query_one(&sql, (), |_| Ok(()))?;
                Ok(())
            }))
        };
        assert_eq!(limit_pages(1), None);
        let (release, held) = hold(writer);
        let answers: Vec<_> = (1..100)
            .map(|number| submit_insert(writer, number))
            .collect();
        drop(release);
        let kinds: Vec<_> = [held].into_iter().chain(answers).map(kind).collect();
        assert!(kinds.contains(&Some(StoreErrorKind::Unavailable)));
        assert!(fixture.is_stored(0));
        assert_eq!(limit_pages(u32::MAX), None);
        for (number, failed) in (0..).zip(kinds).skip(1) {
            assert_eq!(fixture.is_stored(number), failed.is_none(), "{number}");
            let again = submit_insert(writer, number);
            let expected = failed.is_none().then_some(StoreErrorKind::AlreadyExists);
            assert_eq!(kind(again), expected);
        }
    }

    #[test]
    fn a_full_queue_is_reported_at_once_and_queued_jobs_are_done() {
        let fixture = Fixture::new();
        let writer = &fixture.writer;
        let (release, held) = hold(writer);
        let mut queued = Vec::new();
        let rejected = loop {
            let mut answer: Answer<'_> = Box::pin(writer.run(|_| Ok(())));
            match answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Pending => queued.push(answer),
                Poll::Ready(rejected) => break rejected,
            }
        };
        assert_eq!(
            rejected.map_err(|error| error.kind()),
            Err(StoreErrorKind::Unavailable)
        );
        // The job that holds the writer may still be in the queue.
        assert!(queued.len() >= 1023);
        drop(release);
        assert_eq!(kind(held), None);
        assert!(queued.into_iter().all(|answer| kind(answer).is_none()));
    }

    #[test]
    fn a_key_whose_event_is_rejected_is_rolled_back_with_its_transaction() {
        let fixture = Fixture::new();
        let writer = &fixture.writer;
        assert_eq!(kind(submit_insert(writer, 0)), None);
        let (release, held) = hold(writer);
        let before = submit_insert(writer, 1);
        let taken = sample::record(0).key;
        let failing = submit(writer, move |connection| {
            let row = NewRow::new(&sample::record(2))?;
            let event = NewEvent::new(&sample::created(&taken))?;
            operations::insert(connection, &row, sample::now(), Some(&event))
        });
        drop(release);
        for answer in [held, before, failing] {
            assert_eq!(kind(answer), Some(StoreErrorKind::Unavailable));
        }
        // A rejected key leaves nothing, so it does not affect the others.
        let (release, held) = hold(writer);
        let before = submit_insert(writer, 1);
        let rejected = submit(writer, |connection| {
            let row = NewRow::new(&sample::record(0))?;
            let event = NewEvent::new(&sample::created(&sample::record(2).key))?;
            operations::insert(connection, &row, sample::now(), Some(&event))
        });
        drop(release);
        assert_eq!(kind(held), None);
        assert_eq!(kind(before), None);
        assert_eq!(kind(rejected), Some(StoreErrorKind::AlreadyExists));
        let stored: Vec<_> = (0..4).filter(|number| fixture.is_stored(*number)).collect();
        assert_eq!(stored, [0, 1]);
    }

    #[test]
    fn a_failed_job_of_several_writes_leaves_nothing() {
        let fixture = Fixture::new();
        let writer = &fixture.writer;
        let (release, held) = hold(writer);
        let before = submit_insert(writer, 1);
        let failing = submit(writer, |connection| {
            atomic(connection, || {
                for number in [2, 3, 1] {
                    let record = sample::record(number);
                    let event = NewEvent::new(&sample::created(&record.key))?;
                    let row = NewRow::new(&record)?;
                    operations::insert(connection, &row, sample::now(), Some(&event))?;
                }
                Ok(())
            })
        });
        let after = submit_insert(writer, 4);
        drop(release);
        assert_eq!(kind(failing), Some(StoreErrorKind::AlreadyExists));
        for answer in [held, before, after] {
            assert_eq!(kind(answer), None);
        }
        let stored: Vec<_> = (1..5).filter(|number| fixture.is_stored(*number)).collect();
        assert_eq!(stored, [1, 4]);
    }
}
