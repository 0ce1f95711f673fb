//! Shows the progress of long work on standard error, if it is a terminal.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval_at};

/// The minimum time before the first update of the line, and between two updates.
const INTERVAL: Duration = Duration::from_secs(1);

/// A line on standard error that shows the progress of some work. Dropping it clears the line.
pub(crate) struct Progress {
    /// `None` if standard error is not a terminal.
    line: Option<Mutex<Line>>,
}

struct Line {
    is_visible: bool,
    /// When the line last changed, or when the work began.
    changed_at: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            line: stderr().is_terminal().then(|| {
                Mutex::new(Line {
                    is_visible: false,
                    changed_at: now(),
                })
            }),
        }
    }

    /// Shows a text, at most once a second.
    pub(crate) fn show(&self, text: impl FnOnce() -> String) {
        let Some(line) = &self.line else { return };
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.changed_at.elapsed() >= INTERVAL {
            *line = Line {
                is_visible: true,
                changed_at: now(),
            };
            let _ = write!(stderr(), "\r\x1b[K{}", text());
        }
    }

    /// Clears the line, before something else is printed.
    pub(crate) fn clear(&self) {
        let Some(line) = &self.line else { return };
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut line.is_visible) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Waits for the result of work that does not report its progress, and shows how long it takes.
pub(crate) async fn with_elapsed_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let progress = Progress::new();
    let start = now().into();
    let mut ticks = interval_at(start + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            tick = ticks.tick() => {
                let seconds = tick.saturating_duration_since(start).as_secs();
                progress.show(|| format!("{what}: {seconds} s"));
            }
        }
    }
}

/// Returns the time that paces the progress.
#[expect(
    clippy::disallowed_methods,
    reason = "only the pace of the progress depends on it"
)]
fn now() -> Instant {
    Instant::now()
}
