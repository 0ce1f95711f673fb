//! The random numbers of a simulation, the same in each run.

use std::{cell::RefCell, env, time::Duration};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

pub(crate) struct Random(RefCell<ChaCha8Rng>);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = env::var("KEYWRIGHT_SEED").map_or(1, |seed| seed.parse().unwrap());
        Self(RefCell::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// Returns a number from 0 to 1, without 1.
    fn fraction(&self) -> f64 {
        let bits = self.0.borrow_mut().next_u32();
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    /// Returns a number below `end`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the counts of a simulation are small"
    )]
    pub(crate) fn below(&self, end: usize) -> usize {
        (self.fraction() * end as f64) as usize
    }

    /// Returns a time shorter than `end`.
    pub(crate) fn within(&self, end: Duration) -> Duration {
        end.mul_f64(self.fraction())
    }

    /// Returns a time between independent events with this mean.
    pub(crate) fn around(&self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.fraction()).ln())
    }
}
