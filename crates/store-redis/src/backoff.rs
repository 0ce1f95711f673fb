//! Pauses between attempts, which grow and are never the same for two.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);

/// How long to wait before the next attempt.
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

    /// Waits, after a failure, for a random half to whole of the pause: servers that have lost the same
    /// Redis must not all come back at once.
    pub(crate) async fn pause(&self) {
        if !self.next.is_zero() {
            tokio::time::sleep(random_part_of(self.next)).await;
        }
    }

    pub(crate) fn fail(&mut self) {
        self.next = (self.next * 2).clamp(FIRST, LONGEST);
    }

    pub(crate) const fn succeed(&mut self) {
        self.next = Duration::ZERO;
    }
}

fn random_part_of(pause: Duration) -> Duration {
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_end_with_a_success() {
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
            let part = random_part_of(LONGEST);
            assert!(part >= LONGEST / 2 && part <= LONGEST, "{part:?}");
        }
    }
}
