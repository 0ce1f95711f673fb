//! A clock that advances only when the model advances it. It is both the monotonic clock and the
//! wall clock.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::{
    Timestamp,
    fault::{self, Fault},
    sync::step,
};

/// How far the coarse clock is behind.
pub(crate) const MAX_COARSE_LAG: Duration = Duration::from_millis(1);

thread_local! {
    // Shuttle runs all threads of a model on one thread of the system.
    static START: Instant = start();
    static MILLIS: Cell<u64> = const { Cell::new(0) };
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no other way to make an instant"
)]
fn start() -> Instant {
    Instant::now()
}

/// Sets the clock to 0, for a new model.
pub(crate) fn reset() {
    MILLIS.set(0);
}

/// Returns the milliseconds since the start. Unlike the other functions, this switches no threads.
pub(crate) fn millis() -> u64 {
    MILLIS.get()
}

pub(crate) fn advance(millis: u64) {
    step();
    MILLIS.set(MILLIS.get() + millis);
}

pub(crate) fn monotonic() -> Instant {
    step();
    START.with(|start| *start) + Duration::from_millis(millis())
}

/// Returns the coarse time, which is as far behind as it may be, but not at the start, when leases
/// begin. So leases end as late as they can.
pub(crate) fn coarse() -> u64 {
    step();
    let ticks = if fault::is(Fault::CoarserThanATick) {
        2
    } else {
        1
    };
    let behind = Duration::from_millis(millis()).saturating_sub(MAX_COARSE_LAG * ticks);
    u64::try_from(behind.as_nanos()).unwrap()
}

pub(crate) fn now() -> Timestamp {
    step();
    timestamp(millis())
}

pub(crate) fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap()).unwrap()
}
