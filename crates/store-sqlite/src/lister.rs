//! The thread that lists and searches in slices. Workspaces take turns.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use futures_channel::oneshot;
use keywright_core::store::{JoinOnDrop, StoreError};
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    fair_queue::{Abandonable, FairQueue, Tenant},
    file_identity::FileIdentity,
    gate::Gates,
};

/// A thread with a read-only connection for work that reads any number of rows.
///
/// The thread works in slices, each in a separate transaction. After each slice, it continues with
/// the next workspace. It drops work whose caller has dropped its future.
pub(crate) struct Lister {
    jobs: Arc<FairQueue<Box<dyn ListJob>>>,
    // This field is dropped after the queue is closed.
    _thread: JoinOnDrop,
}

impl Lister {
    pub(crate) fn start(
        connection: Connection,
        files: FileIdentity,
        gates: Arc<Gates>,
    ) -> io::Result<Self> {
        let jobs = Arc::new(FairQueue::new());
        let queue = Arc::clone(&jobs);
        let thread = thread::Builder::new()
            .name("kw-sqlite-list".into())
            .spawn(move || serve(&connection, &queue, &files, &gates))?;
        Ok(Self {
            jobs,
            _thread: JoinOnDrop::new(thread),
        })
    }

    /// Calls `slice` until it returns a value. Each call reads a bounded number of rows.
    ///
    /// # Errors
    ///
    /// `Unavailable` if too much work is waiting, in this workspace or in all of them.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        tenant: Tenant,
        slice: impl FnMut(&Connection) -> Result<Option<T>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let list = List {
            slice,
            result: None,
            sender,
        };
        self.jobs.push(tenant, Box::new(list))?;
        Ok(receiver.await.unwrap_or(Err(Error::JobLost))?)
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl fmt::Debug for Lister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lister").finish_non_exhaustive()
    }
}

/// A list, and the caller that waits for it.
trait ListJob: Send {
    /// Whether the caller has dropped its future.
    fn is_abandoned(&self) -> bool;

    /// Reads one slice, and returns whether it was the last one.
    fn read_slice(&mut self, connection: Result<&Connection>) -> bool;

    /// Sends the result to the caller.
    fn send_result(self: Box<Self>);
}

struct List<S, T> {
    slice: S,
    /// `None` until the last slice has been read.
    result: Option<Result<T>>,
    sender: oneshot::Sender<Result<T>>,
}

impl<S, T> ListJob for List<S, T>
where
    S: FnMut(&Connection) -> Result<Option<T>> + Send,
    T: Send,
{
    fn is_abandoned(&self) -> bool {
        self.sender.is_canceled()
    }

    fn read_slice(&mut self, connection: Result<&Connection>) -> bool {
        self.result = connection.and_then(&mut self.slice).transpose();
        self.result.is_some()
    }

    fn send_result(self: Box<Self>) {
        // The caller may have dropped its future.
        let _ = self.sender.send(self.result.unwrap_or(Err(Error::JobLost)));
    }
}

impl Abandonable for Box<dyn ListJob> {
    fn is_abandoned(&self) -> bool {
        (**self).is_abandoned()
    }
}

/// Serves the queue until it is closed and empty.
fn serve(
    connection: &Connection,
    queue: &FairQueue<Box<dyn ListJob>>,
    files: &FileIdentity,
    gates: &Gates,
) {
    while let Some((tenant, mut job)) = queue.next() {
        if job.is_abandoned() {
            continue;
        }
        if read_slice(connection, &mut *job, files, gates) {
            // This wakes the caller, which may run code of the host on this thread.
            let _ = catch_unwind(AssertUnwindSafe(|| job.send_result()));
        } else {
            queue.resume(tenant, job);
        }
    }
}

/// Reads one slice inside the gate, and returns whether it was the last one.
fn read_slice(
    connection: &Connection,
    job: &mut dyn ListJob,
    files: &FileIdentity,
    gates: &Gates,
) -> bool {
    let _inside = gates.lists.enter();
    let connection = files.check().map(|()| connection);
    // A panic ends this job, not the thread. The caller gets `JobLost`.
    catch_unwind(AssertUnwindSafe(|| job.read_slice(connection))).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use futures_executor::block_on;
    use keywright_core::{Workspace, store::StoreErrorKind};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        config::SqliteConfig,
        connection,
        open::{self, Opened},
    };

    fn lister() -> (Lister, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let Opened { path, .. } = open::open(&path, SqliteConfig::new()).unwrap();
        let reader = connection::open_reader(&path).unwrap();
        let _: i64 = reader
            .query_one("SELECT count(*) FROM keywright_keys", (), |row| row.get(0))
            .unwrap();
        let files = FileIdentity::of(path).unwrap();
        let lister = Lister::start(reader, files, Arc::default()).unwrap();
        (lister, folder)
    }

    fn tenant(name: &str) -> Tenant {
        Some(Workspace::parse(name).unwrap())
    }

    type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

    /// Submits a search that continues until its future is dropped, and then drops the sender.
    fn search_without_end(lister: &Lister, sender: mpsc::Sender<()>) -> Answer<'_> {
        let mut answer: Answer<'_> = Box::pin(lister.run(tenant("busy"), move |_| {
            let _ = &sender;
            Ok(None)
        }));
        let polled = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Err(_))));
        match polled {
            Poll::Pending => answer,
            Poll::Ready(rejected) => Box::pin(std::future::ready(rejected)),
        }
    }

    #[test]
    fn bug_a_list_waited_for_every_search_of_another_workspace() {
        let (lister, _folder) = lister();
        let (sender, ended) = mpsc::channel();
        let searches: Vec<_> = (0..64)
            .map(|_| search_without_end(&lister, sender.clone()))
            .collect();
        drop(sender);
        // The list of another workspace takes three turns.
        let mut slices = 0;
        let listed = lister.run(tenant("other"), move |_| {
            slices += 1;
            Ok((slices == 3).then_some(slices))
        });
        assert_eq!(block_on(listed).unwrap(), 3);
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty));
        // When a future is dropped, its search ends, and another one can start.
        drop(searches);
        let ended = ended.recv_timeout(Duration::from_secs(60));
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn too_many_searches_of_one_workspace_are_rejected_at_once() {
        let (lister, _folder) = lister();
        let (sender, _ended) = mpsc::channel();
        // One search may be running.
        let searches: Vec<_> = (0..66)
            .map(|_| search_without_end(&lister, sender.clone()))
            .collect();
        let last = searches.into_iter().next_back().unwrap();
        let rejected = block_on(last).unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_panic_ends_one_list_and_the_thread_continues() {
        let (lister, _folder) = lister();
        let panicking = lister.run::<()>(tenant("default"), |_| panic!("a bug in a list"));
        let lost = block_on(panicking).unwrap_err();
        assert_eq!(lost.kind(), StoreErrorKind::Unavailable);
        assert!(block_on(lister.run(tenant("default"), |_| Ok(Some(())))).is_ok());
    }
}
