//! The shared parts of scenarios: known seeds, and a library that uses them.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use keywright_assurance::canary::{Canaries, secret_of};
use keywright_core::{
    Argon2Params, Caller, Config, Entropy, Keywright, Name, NewKey, Pepper, PepperId, PepperRing,
    Permissions, Prefix, Scheme, Token, Workspace, error::RandomError, store::KeyStore,
};
use pollster::block_on;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::probe::{Remnant, exclusive, observe};

/// A sequence of seeds that is the same in every run.
struct KnownEntropy(AtomicU8);

fn seed(number: u8) -> [u8; 32] {
    // Expand the number, so that no two seeds have a piece in common.
    let mut seed = [0; 32];
    ChaCha20Rng::from_seed([number; 32]).fill_bytes(&mut seed);
    seed
}

impl Entropy for KnownEntropy {
    fn fill(&self, filled: &mut [u8; 32]) -> Result<(), RandomError> {
        // Fill the seed in place. A copy on the stack would have to be wiped.
        ChaCha20Rng::from_seed([self.0.fetch_add(1, Ordering::SeqCst); 32]).fill_bytes(filled);
        Ok(())
    }
}

/// The first seed of a library that issues keys.
pub(crate) const ISSUING: u8 = 0;

/// The number of seeds from [`ISSUING`] on that are searched for. No scenario uses more.
const SEEDS: u8 = 40;

/// The first seed of a library that only verifies and rehashes keys. These seeds are not searched
/// for, because their first output is a salt, which is stored.
pub(crate) const VERIFYING: u8 = 100;

/// The length of a generator's secret output, in bytes: an id and a secret, or the MAC key of the
/// cache. The output after it is a salt, which is stored.
const OUTPUT: usize = 64;

pub(crate) const PEPPER: &[u8; 48] =
    b"the pepper of this scene: \xf3\x81\xd0\x07 of 48 bytes \x9c\xe6\x18\x22\x33";

pub(crate) fn prefix() -> Prefix {
    Prefix::parse("sk").unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::new(Workspace::parse("acme").unwrap(), Permissions::all())
}

pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap())
}

/// Argon2id at the lowest cost.
pub(crate) fn argon2id() -> Scheme {
    Scheme::Argon2id(Argon2Params::new(8, 1, 1).unwrap())
}

/// Opens a library with a pepper and with known seeds, starting at `seed`. Every run issues the
/// same tokens.
pub(crate) fn open(scheme: Scheme, store: Arc<dyn KeyStore>, seed: u8) -> Keywright {
    block_on(Keywright::open(config(scheme, seed), store)).unwrap()
}

pub(crate) fn config(scheme: Scheme, seed: u8) -> Config {
    let pepper = Pepper::new(PepperId::parse("p1").unwrap(), PEPPER).unwrap();
    let ring = PepperRing::default().with_newest(pepper).unwrap();
    Config::new(prefix())
        .with_scheme(scheme)
        .with_peppers(ring)
        .with_entropy(KnownEntropy(AtomicU8::new(seed)))
}

/// Overwrites what earlier calls have left on the stack.
///
/// A future is created on the stack and moved to the heap, including the padding between its
/// fields. Without this, the padding can contain pieces of an earlier request's token, which the
/// checksum has spilled to the stack.
#[inline(never)]
pub(crate) fn scrub_stack() {
    black_box([0_u8; 128 * 1024]);
}

/// The secrets of the tokens that a scenario issues or imports.
#[derive(Default)]
pub(crate) struct Tokens(Vec<String>);

impl Tokens {
    /// Copies a token during the rehearsal. During the observed run it does nothing, because the
    /// copy would be found.
    pub(crate) fn add(&mut self, token: &Token, rehearsal: bool) {
        if rehearsal {
            self.add_text(token.expose());
        }
    }

    /// Copies a token from a response. Call this only during the rehearsal.
    pub(crate) fn add_text(&mut self, token: &str) {
        self.0.push(secret_of(token).to_owned());
    }

    /// Copies a secret. Call this only during the rehearsal.
    pub(crate) fn add_secret(&mut self, secret: &str) {
        self.0.push(secret.to_owned());
    }

    fn canaries(&self) -> Canaries {
        let mut canaries = Canaries::new();
        for (number, secret) in self.0.iter().enumerate() {
            canaries.add(&format!("token {number}"), secret.as_bytes());
        }
        canaries.add("the pepper", PEPPER);
        for number in 0..SEEDS {
            let seed = seed(number);
            let mut output = [0; OUTPUT];
            ChaCha20Rng::from_seed(seed).fill_bytes(&mut output);
            canaries.add(&format!("seed {number}"), &seed);
            canaries.add(&format!("the output of seed {number}"), &output);
        }
        canaries
    }
}

/// Runs a scenario once to record its secrets, and once more to find the pieces that it leaves.
pub(crate) fn left_by(scenario: impl Fn(bool) -> Tokens) -> Vec<Remnant> {
    let _guard = exclusive();
    let tokens = scenario(true);
    assert!(!tokens.0.is_empty());
    let canaries = tokens.canaries();
    // Making the canaries has left the last of them there.
    scrub_stack();
    let (left, _) = observe(canaries, || scenario(false));
    left
}

/// Asserts that a scenario leaves no piece of a secret.
pub(crate) fn assert_nothing_left(scenario: impl Fn(bool) -> Tokens) {
    let left = left_by(scenario);
    for Remnant {
        secret,
        freed_by,
        bytes,
    } in left.iter().take(8)
    {
        let by = if freed_by.is_empty() {
            "(still allocated)"
        } else {
            freed_by
        };
        println!("{secret}: {bytes:?} was left in a block, freed by {by}\n");
    }
    assert!(
        left.is_empty(),
        "{} blocks contain pieces of secrets",
        left.len()
    );
}
