//! The clocks of the simulation, which tokio advances to the next event.

use std::time::{Duration, Instant};

use crate::Timestamp;

/// How far the coarse clock may be behind.
pub(crate) const MAX_COARSE_LAG: Duration = Duration::from_millis(25);

thread_local! {
    /// The start of the simulation. Each one has a thread.
    static ORIGIN: Instant = monotonic();
}

pub(crate) fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the time since the start of the simulation.
pub(crate) fn elapsed() -> Duration {
    let origin = ORIGIN.with(|origin| *origin);
    monotonic().saturating_duration_since(origin)
}

/// Returns the coarse time in nanoseconds. Its ticks are as long as leases allow for.
pub(crate) fn coarse() -> u64 {
    let tick = MAX_COARSE_LAG.as_nanos();
    let nanos = elapsed().as_nanos() / tick * tick;
    u64::try_from(nanos).unwrap()
}

pub(crate) fn now() -> Timestamp {
    let millis = i64::try_from(elapsed().as_millis()).unwrap();
    Timestamp::from_millis(millis).unwrap()
}
