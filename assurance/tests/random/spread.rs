//! Tests how often each character occurs.

use keywright_assurance::{canary::secret_of, inputs::SequentialEntropy};
use keywright_core::{Environment, Keywright, OsEntropy, Workspace};
use pollster::block_on;

use crate::unique::open;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number of characters in a secret.
const POSITIONS: usize = 43;

/// The maximum chi-square. A uniform source exceeds it with a probability of 10⁻¹², by the normal
/// approximation of Wilson and Hilferty for 61 degrees of freedom. A run computes 44 values, so
/// fewer than one run in 10¹⁰ exceeds the limit by chance.
const LIMIT: f64 = 175.0;

/// The number of occurrences of each character at each position.
struct Counts([[u64; 62]; POSITIONS]);

impl Counts {
    fn of(secrets: impl Iterator<Item = [u8; POSITIONS]>) -> Self {
        let mut index = [usize::MAX; 256];
        for (digit, &character) in DIGITS.iter().enumerate() {
            index[usize::from(character)] = digit;
        }
        let mut counts = Self([[0; 62]; POSITIONS]);
        for secret in secrets {
            for (position, character) in secret.iter().enumerate() {
                counts.0[position][index[usize::from(*character)]] += 1;
            }
        }
        counts
    }

    /// Returns the chi-square of all positions together, and the chi-square of each position.
    fn chi_squares(&self) -> (f64, Vec<f64>) {
        let mut together = [0; 62];
        for position in &self.0 {
            for (sum, count) in together.iter_mut().zip(position) {
                *sum += count;
            }
        }
        let positions = self.0.iter().map(chi_square).collect();
        (chi_square(&together), positions)
    }

    /// Returns an error that names the first chi-square above the limit, if there is one.
    fn check(&self) -> Result<(), String> {
        let (together, positions) = self.chi_squares();
        if together > LIMIT {
            return Err(format!("all together: {together:.0}"));
        }
        match positions.iter().position(|&value| value > LIMIT) {
            Some(position) => Err(format!("position {position}: {:.0}", positions[position])),
            None => Ok(()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn chi_square(counts: &[u64; 62]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / 62.0;
    let terms = counts
        .iter()
        .map(|&count| (count as f64 - expected).powi(2) / expected);
    terms.sum()
}

/// The number of secrets to draw from the operating system, if the environment sets it.
fn draws() -> Option<usize> {
    let draws = std::env::var("KEYWRIGHT_DRAWS").ok()?;
    Some(draws.parse().expect("KEYWRIGHT_DRAWS should be a number"))
}

fn secret(keys: &Keywright, workspace: &Workspace) -> [u8; POSITIONS] {
    let minted = block_on(keys.issuer().mint(workspace, Environment::Live)).unwrap();
    let secret = secret_of(minted.token.expose()).as_bytes();
    secret.try_into().unwrap()
}

#[test]
fn every_character_is_equally_likely_at_every_position() {
    let (keys, draws) = match draws() {
        Some(draws) => (open(OsEntropy::default()), draws),
        None => (open(SequentialEntropy::default()), 24_000),
    };
    let workspace = Workspace::parse("acme").unwrap();
    let counts = Counts::of((0..draws).map(|_| secret(&keys, &workspace)));
    let (together, positions) = counts.chi_squares();
    let maximum = positions.iter().copied().fold(0.0, f64::max);
    println!(
        "chi-square, 61 degrees of freedom: {together:.1}; maximum at one position: {maximum:.1}"
    );
    counts.check().unwrap();
}

/// `byte % 62` prefers the first 8 characters: 5 of the 256 bytes yield each of these, and 4 yield
/// each other character.
#[test]
fn the_bias_of_a_remainder_is_detected() {
    use rand_core::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
    let mut secrets = |digit: fn(u8) -> u8| {
        let secrets = (0..24_000).map(|_| {
            let mut bytes = [0; POSITIONS];
            random.fill_bytes(&mut bytes);
            bytes.map(|byte| DIGITS[usize::from(digit(byte))])
        });
        Counts::of(secrets.collect::<Vec<_>>().into_iter())
    };
    let (together, positions) = secrets(|byte| byte % 62).chi_squares();
    assert!(together > 10.0 * LIMIT, "{together}");
    // A single position has too few draws to always exceed the limit, but most positions do.
    assert!(positions.iter().filter(|&&value| value > LIMIT).count() > POSITIONS / 2);
    // A multiplication has the same bias but spreads it over the characters. All positions together
    // show it.
    let scaled = secrets(|byte| (u16::from(byte) * 62 / 256) as u8);
    assert!(scaled.check().is_err());
}

/// A single biased position is detected even though all positions together look uniform.
#[test]
fn the_bias_of_a_single_position_is_detected() {
    use rand_core::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha20Rng::from_seed([2; 32]);
    let counts = Counts::of((0..24_000).map(|_| {
        let mut secret = [0; POSITIONS];
        for character in &mut secret {
            *character = DIGITS[(random.next_u32() % 62) as usize];
        }
        // Replace two of three `z`.
        if secret[42] == b'z' && random.next_u32() % 3 > 0 {
            secret[42] = b'0';
        }
        secret
    }));
    let error = counts.check().unwrap_err();
    assert!(error.starts_with("position 42"), "{error}");
}
