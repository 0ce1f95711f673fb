//! Draws from a seeded generator.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

/// Draws a number below `bound`.
pub(crate) fn draw(random: &mut ChaCha8Rng, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).unwrap()
}

/// Draws `true` with this probability in percent.
pub(crate) fn chance(random: &mut ChaCha8Rng, percent: usize) -> bool {
    draw(random, 100) < percent
}
