//! Exponential backoff with jitter.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);

/// The pause before the next attempt.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self {
            next: Duration::ZERO,
        }
    }

    /// Sleeps for a random part of the pause, between half of it and all of it. Returns at once if
    /// the last attempt did not fail.
    ///
    /// The jitter spreads the load: programs that lost the same Redis server do not reconnect
    /// together.
    pub(crate) async fn pause(&self) {
        if !self.next.is_zero() {
            tokio::time::sleep(jitter(self.next)).await;
        }
    }

    pub(crate) fn fail(&mut self) {
        self.next = (self.next * 2).clamp(FIRST, LONGEST);
    }

    pub(crate) const fn succeed(&mut self) {
        self.next = Duration::ZERO;
    }
}

fn jitter(pause: Duration) -> Duration {
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_reset_after_a_success() {
        let mut backoff = Backoff::new();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff.fail();
            pauses.push(backoff.next.as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500]);
        backoff.succeed();
        assert!(backoff.next.is_zero());
        for _ in 0..100 {
            let part = jitter(LONGEST);
            assert!(part >= LONGEST / 2 && part <= LONGEST, "{part:?}");
        }
    }
}
