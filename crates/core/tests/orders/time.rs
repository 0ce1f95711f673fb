//! A clock that stands still.

use std::time::{Duration, Instant};

use crate::Timestamp;

/// The coarse clock stands still too, and is not behind.
pub(crate) const TICK: Duration = Duration::ZERO;

thread_local! {
    static NOW: Instant = now();
}

#[expect(clippy::disallowed_methods, reason = "no other instant can be made")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn monotonic() -> Instant {
    NOW.with(|now| *now)
}

pub(crate) fn coarse() -> u64 {
    0
}

pub(crate) fn timestamp() -> Timestamp {
    Timestamp::from_millis(0).unwrap()
}
