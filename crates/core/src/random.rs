//! Random characters and salts.
//!
//! There is no long-lived generator. Each new key seeds a generator with 32 bytes from the
//! operating system and drops it afterwards, so neither threads nor forked processes ever share its
//! state.

use std::{error::Error, hint::black_box};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::base62;

/// A source of seeds. The default is [`OsEntropy`]. A host with a hardware source can implement
/// this for it.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `seed` with unpredictable bytes, different ones at each call.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the source fails. Then no key is issued and nothing is stored.
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError>;
}

/// The random number generator of the operating system (`getrandom(2)` on Linux).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        getrandom::fill(seed).map_err(RandomError::new)
    }
}

/// An error from the source of random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the source of random bytes failed")]
pub struct RandomError(#[source] Box<dyn Error + Send + Sync>);

impl RandomError {
    /// Wraps the error of a source.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Marks a draw that is not a digit.
const REJECTED: u8 = 0;

/// A generator for one key: ChaCha20 with a fresh seed, wiped on drop.
// Boxed, because a move would leave behind a copy that is never wiped, for example in the future
// that issues a key.
pub(crate) struct Generator(Box<State>);

struct State {
    stream: ChaCha20Rng,
    /// Characters that were drawn, including [`REJECTED`] ones.
    drawn: Zeroizing<[u8; 64]>,
    /// The number of these characters that are used.
    used: usize,
}

#[cfg(test)]
crate::secrecy::assert_secret!(State);

impl Generator {
    pub(crate) fn seeded(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut seed)?;
        let drawn = Zeroizing::new([REJECTED; 64]);
        Ok(Self(Box::new(State {
            stream: ChaCha20Rng::from_seed(*seed),
            used: drawn.len(),
            drawn,
        })))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.stream.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws base62 characters uniformly, from six bits each. Two of the 64 values are not digits
    /// and are skipped.
    pub(crate) fn fill_base62(&mut self, characters: &mut [u8]) {
        let mut filled = 0;
        while let Some(place) = characters.get_mut(filled) {
            let Some(&character) = self.0.drawn.get(self.0.used) else {
                self.0.draw();
                continue;
            };
            self.0.used += 1;
            // The next character overwrites a rejected one.
            *place = character;
            filled += usize::from(character != REJECTED);
        }
    }
}

impl State {
    fn draw(&mut self) {
        self.stream.fill_bytes(&mut *self.drawn);
        for byte in self.drawn.iter_mut() {
            let digit = *byte & 0x3f;
            *byte = base62::character(digit) * u8::from(digit < base62::RADIX);
        }
        self.used = 0;
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // ChaCha20Rng does not wipe itself, so overwrite all of it: its key, its position and its
        // buffer.
        self.stream = ChaCha20Rng::from_seed([0; 32]);
        black_box(&mut self.stream);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    struct Broken;

    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8; 32]) -> Result<(), RandomError> {
            Err(RandomError::new("no bytes"))
        }
    }

    /// Fills each seed with the same byte.
    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
            seed.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_failing_source_is_an_error() {
        let error = Generator::seeded(&Broken).map(|_| ()).unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no bytes");
    }

    #[test]
    fn generators_draw_different_bytes() {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
        let mut other = Generator::seeded(&OsEntropy).unwrap();
        let drawn: [[u8; 16]; 3] = [random.bytes(), random.bytes(), other.bytes()];
        let different: HashSet<_> = drawn.iter().collect();
        assert_eq!(different.len(), 3, "{drawn:?}");
    }

    #[test]
    fn all_62_characters_are_drawn_about_equally_often() {
        let mut random = Generator::seeded(&Fixed(1)).unwrap();
        let mut counts = [0u32; 256];
        for _ in 0..2_000 {
            let mut characters = [0; 62];
            random.fill_base62(&mut characters);
            for character in characters {
                counts[usize::from(character)] += 1;
            }
        }
        let drawn: Vec<u32> = counts.into_iter().filter(|&count| count > 0).collect();
        assert_eq!(drawn.len(), 62);
        // The expected count is 2,000. Ten standard deviations are 444.
        assert!(
            drawn.iter().all(|count| (1_556..=2_444).contains(count)),
            "{drawn:?}"
        );
    }
}
