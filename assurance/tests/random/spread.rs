//! How often each character comes up.

use keywright_assurance::canary::secret_of;
use keywright_core::{Environment, Keywright, Workspace};
use pollster::block_on;

use crate::unique::open;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a secret.
const PLACES: usize = 43;

/// Above this a uniform source comes with a probability of 10⁻¹², by the normal approximation of Wilson and
/// Hilferty for 61 degrees of freedom; tried 44 times, less than once in 10¹⁰ runs.
const LIMIT: f64 = 175.0;

/// How often each character has come at each place.
struct Counts([[u64; 62]; PLACES]);

impl Counts {
    fn of(secrets: impl Iterator<Item = [u8; PLACES]>) -> Self {
        let mut index = [usize::MAX; 256];
        for (digit, &character) in DIGITS.iter().enumerate() {
            index[usize::from(character)] = digit;
        }
        let mut counts = Self([[0; 62]; PLACES]);
        for secret in secrets {
            for (place, character) in secret.iter().enumerate() {
                counts.0[place][index[usize::from(*character)]] += 1;
            }
        }
        counts
    }

    /// The chi-square of all places together, and of each.
    fn chi_squares(&self) -> (f64, Vec<f64>) {
        let mut together = [0; 62];
        for place in &self.0 {
            for (sum, count) in together.iter_mut().zip(place) {
                *sum += count;
            }
        }
        let places = self.0.iter().map(chi_square).collect();
        (chi_square(&together), places)
    }

    /// What is wrong with them, if anything is.
    fn judge(&self) -> Result<(), String> {
        let (together, places) = self.chi_squares();
        if together > LIMIT {
            return Err(format!("all together: {together:.0}"));
        }
        match places.iter().position(|&place| place > LIMIT) {
            Some(place) => Err(format!("place {place}: {:.0}", places[place])),
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

fn draws() -> usize {
    let set = std::env::var("KEYWRIGHT_DRAWS").ok();
    set.map_or(24_000, |draws| {
        draws.parse().expect("KEYWRIGHT_DRAWS is a number")
    })
}

fn secret(keys: &Keywright, workspace: &Workspace) -> [u8; PLACES] {
    let minted = block_on(keys.issuer().mint(workspace, Environment::Live)).unwrap();
    let secret = secret_of(minted.token.expose()).as_bytes();
    secret.try_into().unwrap()
}

#[test]
fn every_character_is_as_likely_as_every_other_at_every_place() {
    let keys = open();
    let workspace = Workspace::parse("acme").unwrap();
    let counts = Counts::of((0..draws()).map(|_| secret(&keys, &workspace)));
    let (together, places) = counts.chi_squares();
    let most = places.iter().copied().fold(0.0, f64::max);
    println!("chi-square, 61 degrees of freedom: {together:.1}; most at one place: {most:.1}");
    counts.judge().unwrap();
}

/// `byte % 62` prefers the first 8 characters: 5 of 256 bytes are one of them, and 4 any other.
#[test]
fn a_remainder_instead_of_a_rejection_is_found() {
    use rand_core::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
    let mut secrets = |digit: fn(u8) -> u8| {
        let secrets = (0..24_000).map(|_| {
            let mut bytes = [0; PLACES];
            random.fill_bytes(&mut bytes);
            bytes.map(|byte| DIGITS[usize::from(digit(byte))])
        });
        Counts::of(secrets.collect::<Vec<_>>().into_iter())
    };
    let (together, places) = secrets(|byte| byte % 62).chi_squares();
    assert!(together > 10.0 * LIMIT, "{together}");
    // Each place by itself has seen too few to tell for sure, and most of them tell.
    assert!(places.iter().filter(|&&place| place > LIMIT).count() > PLACES / 2);
    // Nearly as many, spread by a multiplication: what is left of the bias is found in all of them together.
    let scaled = secrets(|byte| (u16::from(byte) * 62 / 256) as u8);
    assert!(scaled.judge().is_err());
}

/// One place that is not like the others is found where all together look well.
#[test]
fn a_place_of_its_own_is_found() {
    use rand_core::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha20Rng::from_seed([2; 32]);
    let counts = Counts::of((0..24_000).map(|_| {
        let mut secret = [0; PLACES];
        for character in &mut secret {
            *character = DIGITS[(random.next_u32() % 62) as usize];
        }
        // Never `z`, but one time in three.
        if secret[42] == b'z' && random.next_u32() % 3 > 0 {
            secret[42] = b'0';
        }
        secret
    }));
    let error = counts.judge().unwrap_err();
    assert!(error.starts_with("place 42"), "{error}");
}
