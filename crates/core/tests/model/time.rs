//! A clock that goes on only when the model says so. It is the wall clock too.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::{
    Timestamp,
    fault::{self, Fault},
    sync::step,
};

/// How far the coarse clock is behind, as soon as it can be.
pub(crate) const TICK: Duration = Duration::from_millis(1);

thread_local! {
    // All threads of a model are one of the system's.
    static START: Instant = start();
    static MILLIS: Cell<u64> = const { Cell::new(0) };
}

#[expect(clippy::disallowed_methods, reason = "no other instant can be made")]
fn start() -> Instant {
    Instant::now()
}

/// Sets it back to the start, for a new model.
pub(crate) fn reset() {
    MILLIS.set(0);
}

/// Milliseconds since the start, seen from outside the model: no other thread goes on here.
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

/// As far behind as it may be, but not at the start, where leases begin: so they end as late as they
/// can.
pub(crate) fn coarse() -> u64 {
    step();
    let ticks = if fault::is(Fault::CoarserThanATick) {
        2
    } else {
        1
    };
    let behind = Duration::from_millis(millis()).saturating_sub(TICK * ticks);
    u64::try_from(behind.as_nanos()).unwrap()
}

pub(crate) fn now() -> Timestamp {
    step();
    timestamp(millis())
}

pub(crate) fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap()).unwrap()
}
