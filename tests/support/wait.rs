//! Waiting for a state, however slow the machine is.

use std::{thread, time::Duration};

use super::response::Response;

/// How long a test waits for anything before it fails. Only the pauses count, not the attempts: on
/// a busy machine an attempt may take a long time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(5);

/// Calls `attempt` until it returns a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, attempt)
}

/// Calls `attempt` until it returns a value. The pauses add up to at most `patience`.
#[track_caller]
pub(crate) fn wait_at_most<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(waited < patience, "gave up waiting: {what}");
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// Repeats a request while the store is unavailable.
///
/// On a busy disk another process may hold the write lock of a SQLite file, or Redis may wait for a
/// sync, for longer than a server waits. The server then responds with 503.
#[track_caller]
pub(crate) fn until_available(mut send: impl FnMut() -> Response) -> Response {
    wait_for("the store is available", || {
        Some(send()).filter(|response| response.status != 503)
    })
}
