//! Waiting for a condition, and retrying what a slow machine has spoiled.

use std::{
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::store::{StoreError, StoreErrorKind};

use super::{PATIENCE, Server};

/// Polls a condition until it is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Polls until there is a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = now() + PATIENCE;
    loop {
        // Read the clock first: a machine that stalls in between does not cost the last poll.
        let is_last = now() >= end;
        if let Some(value) = poll() {
            return value;
        }
        assert!(!is_last, "waited {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Repeats a call until it is not `Unavailable`, and returns its result.
///
/// Only for calls that have the same result when they are repeated.
#[track_caller]
pub(crate) fn until_available<T, F>(mut call: impl FnMut() -> F) -> Result<T, StoreErrorKind>
where
    F: Future<Output = Result<T, StoreError>>,
{
    wait_for("the store is available", || match block_on(call()) {
        Err(error) if error.kind() == StoreErrorKind::Unavailable => None,
        result => Some(result.map_err(|error| error.kind())),
    })
}

/// Repeats a scenario in which copies must stay current, until no store reconnects in the meantime.
///
/// A store reconnects when a heartbeat is late, as on a busy machine, and then all of its copies
/// are stale. If the scenario fails and the tracking connections are still the same, the test
/// fails.
#[track_caller]
pub(crate) fn without_reconnects(
    server: &Server,
    mut scenario: impl FnMut() -> Result<(), String>,
) {
    wait_for("no store reconnects", || {
        let before = server.tracking_clients();
        let Err(fault) = scenario() else {
            return Some(());
        };
        let reconnected = before.is_empty() || before != server.tracking_clients();
        assert!(reconnected, "{fault}");
        None
    });
}

/// Waits for a call that must return although the server does not reply.
#[track_caller]
pub(crate) fn returns<T>(call: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limited = runtime.block_on(async { tokio::time::timeout(PATIENCE, call).await });
    limited.expect("the call does not return")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests measure the store's bounds, and give up waiting"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Prints how durations are distributed, for `--nocapture`.
pub(crate) fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what}: {} tries, median {:?}, p99 {:?}, longest {:?}",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
}
