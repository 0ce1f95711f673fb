//! What is done beside the verifications, on a thread of its own: last uses are written, old hashes
//! replaced, and metrics published.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{RecvTimeoutError, Sender};

use super::{
    rehash::{Rehash, Rehashing},
    uses::{Due, Uses},
};
use crate::{
    Clock, KeyStore, StoreError,
    meter::{self, Instance},
    sync::{AtomicBool, Ordering},
    thread::JoinOnDrop,
    time::monotonic,
};

/// How often last uses are written and metrics published.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most hashes that wait to be replaced. One that finds no place is replaced after another
/// verification.
const QUEUE: usize = 64;

/// The thread. When this is dropped, a hash that is being replaced is replaced, what is not written yet is
/// written, and the thread ends.
pub(crate) struct Upkeep {
    /// Whether this is being dropped.
    ending: Arc<AtomicBool>,
    // The order matters: it is the end of the queue that ends the thread.
    rehashes: Sender<Rehash>,
    _thread: JoinOnDrop,
}

/// What it takes to write last uses.
#[derive(Clone)]
pub(crate) struct Writing {
    pub(crate) uses: Arc<Uses>,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Writing {
    pub(crate) async fn flush(&self, due: Due) -> Result<(), StoreError> {
        self.uses.flush(&*self.store, self.clock.now(), due).await
    }
}

impl Upkeep {
    pub(crate) fn start(
        writing: Writing,
        rehashing: Rehashing,
        instance: Instance,
    ) -> io::Result<Self> {
        let (rehashes, queue) = crossbeam_channel::bounded::<Rehash>(QUEUE);
        let ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ending);
        let thread = thread::Builder::new()
            .name("kw-upkeep".into())
            .spawn(move || {
                // What the store does not take is tried again.
                let flush = |due| drop(catching(|| pollster::block_on(writing.flush(due))));
                let mut next = monotonic() + INTERVAL;
                loop {
                    match queue.recv_deadline(next) {
                        // Nobody waits for hashes that can be replaced another time.
                        Ok(_) if ended.load(Ordering::Relaxed) => {}
                        Ok(rehash) => drop(catching(|| {
                            pollster::block_on(rehash.run(&rehashing));
                        })),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                    if monotonic() >= next {
                        flush(Due::Spaced);
                        drop(catching(meter::publish));
                        next = monotonic() + INTERVAL;
                    }
                }
                flush(Due::All);
                drop(catching(|| instance.close()));
            })?;
        Ok(Self {
            ending,
            rehashes,
            _thread: JoinOnDrop::new(thread),
        })
    }

    /// Has a hash replaced; whether there was a place for it.
    pub(super) fn rehash(&self, rehash: Rehash) -> bool {
        self.rehashes.try_send(rehash).is_ok()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

/// A panic of a store ends the task, and not the thread.
fn catching<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("waiting", &self.rehashes.len())
            .finish_non_exhaustive()
    }
}
