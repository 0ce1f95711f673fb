//! Sets up the log on standard error.
//!
//! A separate thread writes the log. If the reader of the log stalls, lines wait in a bounded
//! queue. When the queue is full, further lines are dropped, so that no request waits for the log.

use std::{
    io::{self, IsTerminal, Write, stderr},
    mem,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::serve_options::{LogFormat, LogLevel};

/// The maximum number of lines in the queue.
const QUEUE: usize = 4096;

/// The number of times that [`Log::flush`] checks whether the queue has room.
const FLUSH_ATTEMPTS: u32 = 50;

/// The pause between two of these checks.
const FLUSH_PAUSE: Duration = Duration::from_millis(20);

/// The log of the process. Clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    queue: NonBlocking,
    dropped: Arc<Dropped>,
    /// The thread that writes the log. `None` after [`flush`](Self::flush).
    writer: Arc<Mutex<Option<WorkerGuard>>>,
}

impl Log {
    /// Starts logging. Log lines contain ids, never a token.
    pub(crate) fn start(format: LogFormat, level: LogLevel) -> Self {
        let level = match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        let dropped = Arc::new(Dropped::default());
        let (queue, writer) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .thread_name("kw-log")
            .finish(CountingWriter::new(stderr(), Arc::clone(&dropped)));
        dropped.from_queue.get_or_init(|| queue.error_counter());
        // Other crates log at debug and trace what clients send.
        let filter = Targets::new()
            .with_target("keywright", level)
            .with_default(level.min(LevelFilter::INFO));
        let subscriber = tracing_subscriber::fmt()
            .with_writer(queue.clone())
            .with_max_level(level)
            // By default, a failed write to the log panics. It must not take the API down.
            .log_internal_errors(false)
            .with_target(false)
            .with_ansi(stderr().is_terminal());
        match format {
            LogFormat::Text => subscriber.finish().with(filter).init(),
            LogFormat::Json => {
                let subscriber = subscriber.json().flatten_event(true).finish();
                subscriber.with(filter).init();
            }
        }
        Self {
            queue,
            dropped,
            writer: Arc::new(Mutex::new(Some(writer))),
        }
    }

    /// Returns the number of lines that were not written since the start.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.dropped.total()
    }

    /// Queues a line that is not a `tracing` event.
    pub(crate) fn write_line(&self, line: &str) {
        // This never fails. The queue counts the lines that it drops.
        let _ = self.queue.clone().write_all(format!("{line}\n").as_bytes());
    }

    /// Writes the lines in the queue, and ends the writing thread. Gives up after two seconds,
    /// because the reader may have stalled.
    pub(crate) fn flush(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = writer.take() else { return };
        for _ in 0..FLUSH_ATTEMPTS {
            let before = self.dropped_lines();
            // The queue drops this empty line if, and only if, it is full.
            let _ = self.queue.clone().write_all(b"");
            if self.dropped_lines() == before {
                // This waits for at most a second while the thread writes the queue.
                drop(writer);
                return;
            }
            thread::sleep(FLUSH_PAUSE);
        }
        // Dropping it would report the full queue on standard output.
        mem::forget(writer);
    }
}

/// The number of lines that were not written.
#[derive(Default)]
struct Dropped {
    /// Lines that the full queue dropped.
    from_queue: OnceLock<ErrorCounter>,
    /// Lines that could not be written.
    by_error: AtomicU64,
}

impl Dropped {
    fn total(&self) -> u64 {
        let queue = self.from_queue.get().map_or(0, ErrorCounter::dropped_lines);
        self.by_error.load(Ordering::Relaxed) + queue as u64
    }
}

/// A writer that counts the lines that it cannot write. Once it can write again, it logs how many
/// lines were dropped.
struct CountingWriter<W> {
    target: W,
    dropped: Arc<Dropped>,
    reported: u64,
    /// Whether the last line was written.
    works: bool,
}

impl<W> CountingWriter<W> {
    const fn new(target: W, dropped: Arc<Dropped>) -> Self {
        Self {
            target,
            dropped,
            reported: 0,
            works: true,
        }
    }
}

impl<W: Write> Write for CountingWriter<W> {
    /// Writes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.works = self.target.write_all(line).is_ok();
        if !self.works {
            self.dropped.by_error.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    /// Logs how many lines were dropped. The writing thread calls this when the queue is empty,
    /// which means that the reader has caught up.
    fn flush(&mut self) -> io::Result<()> {
        let dropped = self.dropped.total();
        if self.works && dropped > self.reported {
            let lines = dropped - mem::replace(&mut self.reported, dropped);
            // This thread may log, because logging only adds a line to the queue.
            tracing::warn!(
                lines,
                "dropped log lines, because the log was not read in time"
            );
        }
        self.target.flush()
    }
}
