//! What the scenes have in common: seeds that are known, and the library over them.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use keywright_assurance::canary::{Canaries, secret_of};
use keywright_core::{
    Argon2Params, Caller, Config, Entropy, KeyStore, Keywright, Name, NewKey, Pepper, PepperId,
    PepperRing, Permissions, Prefix, RandomError, Scheme, Token, Workspace,
};
use pollster::block_on;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::probe::{Left, stage, watch};

/// Seeds that are the same in every scene, one after the other.
struct Known(AtomicU8);

fn seed(number: u8) -> [u8; 32] {
    // As far from each other as any two.
    let mut seed = [0; 32];
    ChaCha20Rng::from_seed([number; 32]).fill_bytes(&mut seed);
    seed
}

impl Entropy for Known {
    fn fill(&self, filled: &mut [u8; 32]) -> Result<(), RandomError> {
        // Written where it is to be: a copy would be one more to wipe.
        ChaCha20Rng::from_seed([self.0.fetch_add(1, Ordering::SeqCst); 32]).fill_bytes(filled);
        Ok(())
    }
}

/// The first seed where keys are issued, of which a scene takes at most so many; and the first where keys
/// are only verified and hashed anew: of those, salts are drawn first, which are stored.
pub(crate) const ISSUING: u8 = 0;
const SEEDS: u8 = 40;
pub(crate) const VERIFYING: u8 = 100;

/// How many bytes are drawn of a seed for an id and a secret, or for the key of the proofs. A salt, which
/// is stored, comes after them.
const DRAWN: usize = 64;

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

/// Argon2id at the least cost that there is.
pub(crate) fn argon2id() -> Scheme {
    Scheme::Argon2id(Argon2Params::new(8, 1, 1).unwrap())
}

/// The library with known seeds and a pepper. What it made the first time it makes again.
pub(crate) fn open(scheme: Scheme, store: Arc<dyn KeyStore>, seed: u8) -> Keywright {
    let pepper = Pepper::new(PepperId::parse("p1").unwrap(), PEPPER).unwrap();
    let ring = PepperRing::default().with_newest(pepper).unwrap();
    let config = Config::new(prefix())
        .with_scheme(scheme)
        .with_peppers(ring)
        .with_entropy(Known(AtomicU8::new(seed)));
    block_on(Keywright::open(config, store)).unwrap()
}

/// Writes over what earlier calls have left on the stack. A future is made there and moved to the heap with
/// all that lies between its fields; so pieces of a token of an earlier request, which the checksum has
/// spilled there, would be found on the heap.
#[inline(never)]
pub(crate) fn scrub_stack() {
    black_box([0_u8; 128 * 1024]);
}

/// The tokens of a scene.
#[derive(Default)]
pub(crate) struct Tokens(Vec<String>);

impl Tokens {
    /// Keeps a copy for the first time that the scene is played: the second time, nothing.
    pub(crate) fn note(&mut self, token: &Token, rehearsal: bool) {
        if rehearsal {
            self.0.push(token.expose().to_owned());
        }
    }

    /// The same for one that was read from an answer.
    pub(crate) fn note_text(&mut self, token: &str) {
        self.0.push(token.to_owned());
    }

    fn canaries(&self) -> Canaries {
        let mut canaries = Canaries::new();
        for (number, token) in self.0.iter().enumerate() {
            canaries.add(&format!("token {number}"), secret_of(token).as_bytes());
        }
        canaries.add("the pepper", PEPPER);
        for number in 0..SEEDS {
            let seed = seed(number);
            let mut drawn = [0; DRAWN];
            ChaCha20Rng::from_seed(seed).fill_bytes(&mut drawn);
            canaries.add(&format!("seed {number}"), &seed);
            canaries.add(&format!("what is drawn of seed {number}"), &drawn);
        }
        canaries
    }
}

/// Plays a scene to learn its secrets, and again to see what it leaves.
pub(crate) fn left_by(scene: impl Fn(bool) -> Tokens) -> Vec<Left> {
    let _stage = stage();
    let tokens = scene(true);
    assert!(!tokens.0.is_empty());
    let (left, _) = watch(tokens.canaries(), || scene(false));
    left
}

/// Asserts that a scene leaves nothing.
pub(crate) fn assert_nothing_left(scene: impl Fn(bool) -> Tokens) {
    let left = left_by(scene);
    for Left {
        secret,
        freed_by,
        bytes,
    } in left.iter().take(8)
    {
        let by = if freed_by.is_empty() {
            "nobody yet"
        } else {
            freed_by
        };
        println!("{secret}: {bytes:?} was left in a block freed by {by}\n");
    }
    assert!(
        left.is_empty(),
        "{} blocks hold pieces of secrets",
        left.len()
    );
}
