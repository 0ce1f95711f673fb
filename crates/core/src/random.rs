//! Random characters and salts. There is no long-lived generator: each key that is issued seeds one
//! with 32 bytes of the operating system, draws what it needs, and drops it, so that neither
//! threads nor forked processes can ever share a state.

use std::{error::Error, fmt, hint::black_box};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::base62;

/// Where seeds come from. The default is [`OsEntropy`]; a host with a hardware source of its own can
/// put that in.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `seed` with bytes that nobody can predict, new ones at every call.
    ///
    /// # Errors
    ///
    /// [`RandomError`] if the source fails: then no key is issued and nothing is stored.
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError>;
}

/// The generator of the operating system (`getrandom(2)` on Linux).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        getrandom::fill(seed).map_err(RandomError::new)
    }
}

/// The source of random bytes failed.
#[derive(Debug)]
pub struct RandomError(Box<dyn Error + Send + Sync>);

impl RandomError {
    /// Wraps the error of a source.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source of random bytes failed")
    }
}

impl Error for RandomError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Stands for a draw that is no digit.
const REJECTED: u8 = 0;

/// The generator of one key: ChaCha20 under a seed of its own, wiped on drop.
// Boxed, since moving it would leave a copy behind that nobody wipes: in the future of whoever issues a
// key, for one.
pub(crate) struct Generator(Box<State>);

struct State {
    stream: ChaCha20Rng,
    /// Characters that were drawn, [`REJECTED`] ones among them, and how many of them are used.
    drawn: Zeroizing<[u8; 64]>,
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

    /// Draws base62 characters uniformly: six bits at a time, and the two values that are no digit
    /// are passed over.
    pub(crate) fn fill_base62(&mut self, characters: &mut [u8]) {
        let mut filled = 0;
        while let Some(place) = characters.get_mut(filled) {
            let Some(&character) = self.0.drawn.get(self.0.used) else {
                self.0.draw();
                continue;
            };
            self.0.used += 1;
            // What was rejected is written over by the next.
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
        // ChaCha20Rng does not wipe itself, so all of it is overwritten: its key, its position and
        // the bytes it has ready.
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
            Err(RandomError::new("no bytes today"))
        }
    }

    #[test]
    fn a_failing_source_is_an_error() {
        let error = Generator::seeded(&Broken).map(|_| ()).unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no bytes today");
    }

    #[test]
    fn no_bytes_are_drawn_twice() {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
        let mut other = Generator::seeded(&OsEntropy).unwrap();
        let drawn: [[u8; 16]; 3] = [random.bytes(), random.bytes(), other.bytes()];
        let different: HashSet<_> = drawn.iter().collect();
        assert_eq!(different.len(), 3, "{drawn:?}");
    }

    #[test]
    fn all_62_characters_come_up_and_about_equally_often() {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
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
        // 2,000 expected; ten standard deviations are 444.
        assert!(
            drawn.iter().all(|count| (1_556..=2_444).contains(count)),
            "{drawn:?}"
        );
    }
}
