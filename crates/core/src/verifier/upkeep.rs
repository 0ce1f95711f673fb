//! Background work of a verifier, on one thread: it observes the time, writes last uses, replaces
//! outdated hashes, deletes old events and publishes metrics.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use super::{
    backend::KeyStoreBackend,
    last_used::FlushScope,
    protocol::{Protocol, RehashQueue},
    rehash::Rehash,
    retention::Retention,
};
use crate::{
    meter::{self, Instance},
    sync::{AtomicBool, Ordering},
    thread::JoinOnDrop,
    time::monotonic,
    token::Secret,
};

/// The time between two flushes of last uses, and between two publications of metrics.
const INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of hashes that wait to be replaced. If the queue is full, a hash is replaced
/// after a later verification.
const QUEUE: usize = 64;

/// The thread for background work.
///
/// When this is dropped, the thread finishes the hash that it is replacing, skips those in the
/// queue, writes all last uses, unless the host's flush has just failed, and ends.
pub(crate) struct Upkeep {
    /// Whether this is being dropped.
    ending: Arc<AtomicBool>,
    // Dropped before the thread: the thread ends when the queue is disconnected.
    rehashes: SyncSender<Rehash<Secret>>,
    _thread: JoinOnDrop,
}

impl Upkeep {
    pub(super) fn start(
        protocol: Arc<Protocol<KeyStoreBackend>>,
        instance: Instance,
        mut retention: Retention,
    ) -> io::Result<Self> {
        let (rehashes, queue) = mpsc::sync_channel::<Rehash<Secret>>(QUEUE);
        let ending = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&ending);
        let thread = thread::Builder::new()
            .name("kw-upkeep".into())
            .spawn(move || {
                // Uses that the store does not accept stay queued for the next flush.
                let flush = |scope| {
                    let flush = protocol.backend.flush_last_uses(scope);
                    drop(catching(|| pollster::block_on(flush)));
                };
                let mut next = monotonic() + INTERVAL;
                loop {
                    match queue.recv_timeout(next.saturating_duration_since(monotonic())) {
                        // Skip the hash: the next process can replace it, and the drop is waiting.
                        Ok(_) if is_ending.load(Ordering::Relaxed) => {}
                        Ok(rehash) => drop(catching(|| {
                            pollster::block_on(protocol.replace_hash(rehash));
                        })),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                    if monotonic() >= next {
                        protocol.backend.expiry_clock.observe_now();
                        flush(FlushScope::Due);
                        let backend = &protocol.backend;
                        if !is_ending.load(Ordering::Relaxed) {
                            let step = retention.run(&*backend.store, backend.clock.now());
                            drop(catching(|| pollster::block_on(step)));
                        }
                        drop(catching(meter::publish));
                        next = monotonic() + INTERVAL;
                    }
                }
                // If the host's flush has just failed, another one would only delay the end.
                if !protocol.backend.last_used.gave_up() {
                    flush(FlushScope::All);
                }
                drop(catching(|| instance.close()));
            })?;
        Ok(Self {
            ending,
            rehashes,
            _thread: JoinOnDrop::new(thread),
        })
    }
}

impl RehashQueue<Secret> for Upkeep {
    fn try_push(&self, rehash: Rehash<Secret>) -> bool {
        self.rehashes.try_send(rehash).is_ok()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` and catches its panic, so that a panic in a store does not end the thread.
fn catching<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep").finish_non_exhaustive()
    }
}
