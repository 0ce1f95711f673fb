//! Whether a refusal takes a time that tells how much of a secret was right: Welch's t-test of
//! refusals where the first byte is wrong against refusals where the last one is, after
//! [dudect](https://eprint.iacr.org/2016/1123). A |t| above 5 says that the times differ. Planted
//! comparisons that stop at the first difference show what that looks like.
//!
//! Started by `cargo bench` it measures; `scripts/timing` does so and judges.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run must stop"
)]

mod base64;
mod planted;
mod subject;
#[expect(dead_code, reason = "the product's, as it is")]
#[path = "../../crates/core/src/verifier/token_mac.rs"]
mod token_mac;

use std::hint::black_box;

use dudect_bencher::{
    BenchRng, Class, CtRunner,
    ctbench::{BenchFn, BenchMetadata, BenchName, BenchOpts, run_benches_console},
    rand::RngExt,
};
use keywright_benches::runs_once;
use keywright_core::{Argon2Params, Scheme};

use crate::{
    subject::{CHARACTERS, Cache, Subject},
    token_mac::TokenMac,
};

/// How often each comparison is measured.
const SAMPLES: usize = 400_000;

/// The same where a thread of its own runs Argon2.
const SLOW_SAMPLES: usize = 40_000;

/// How often it is if nothing is to be measured.
const FEW: usize = 100;

/// How many keys are verified in turn.
const KEYS: usize = 4_096;

fn main() {
    let benches: &[(&str, BenchFn)] = &[
        ("secret_of_a_hot_key", |runner, rng| {
            secret(Cache::Hot, runner, rng);
        }),
        ("secret_of_a_cold_key", |runner, rng| {
            secret(Cache::Cold, runner, rng);
        }),
        ("token_mac", token_mac),
        ("tag", tag),
        ("hash_hmac", |runner, rng| {
            hash(Scheme::HmacSha256, SAMPLES, runner, rng);
        }),
        ("hash_argon2id", |runner, rng| {
            let cost = Argon2Params::new(8, 1, 1).unwrap();
            hash(Scheme::Argon2id(cost), SLOW_SAMPLES, runner, rng);
        }),
        ("planted_alone", planted_alone),
        ("planted_in_a_verification", planted_in_a_verification),
    ];
    let benches = benches.iter().map(|&(name, benchfn)| BenchMetadata {
        name: BenchName(name),
        seed: None,
        benchfn,
    });
    run_benches_console(BenchOpts::default(), benches.collect()).unwrap();
}

/// Has each sample belong to a class at random: what is wrong is the first of that many places, or
/// the last.
fn sample(
    count: usize,
    places: usize,
    rng: &mut BenchRng,
    mut one: impl FnMut(Class, usize, &mut BenchRng),
) {
    for _ in 0..if runs_once() { FEW } else { count } {
        let class = match rng.random::<bool>() {
            true => (Class::Left, 0),
            false => (Class::Right, places - 1),
        };
        // The compiler must not know it, or it makes code of its own for each class.
        let (class, place) = black_box(class);
        one(class, place, rng);
    }
}

/// Many keys.
fn many(cache: Cache) -> Subject {
    let count = if runs_once() { 10 } else { KEYS };
    Subject::open(Scheme::HmacSha256, count, cache)
}

/// The whole verification of a token whose secret has one wrong character.
fn secret(cache: Cache, runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(cache);
    // Made beforehand: what was written or compared just now would be read at another speed.
    let mut tokens = Vec::new();
    sample(SAMPLES, CHARACTERS, rng, |class, place, rng| {
        let (_, token) = subject.wrong_token(place, rng);
        tokens.push((class, token));
    });
    for (class, token) in tokens {
        runner.run_one(class, || subject.refuses(black_box(&token)));
    }
}

/// The comparison of two MACs in memory, of which one has a wrong bit in its first word or its last.
fn token_mac(runner: &mut CtRunner, rng: &mut BenchRng) {
    sample(SAMPLES, 2, rng, |class, place, rng| {
        let right: [u64; 2] = rng.random();
        let mut wrong = right;
        wrong[place] ^= 1 << rng.random_range(0..u64::BITS);
        let [right, wrong] = [right, wrong].map(TokenMac::new);
        runner.run_one(class, || black_box(right).matches(black_box(wrong)));
    });
}

/// The whole verification of a token whose record has a tag with one wrong byte.
fn tag(runner: &mut CtRunner, rng: &mut BenchRng) {
    let mut subject = Subject::open(Scheme::HmacSha256, 1, Cache::Cold);
    let token = subject.token();
    sample(SAMPLES, 8, rng, |class, place, rng| {
        subject.spoil_tag(place, rng);
        runner.run_one(class, || subject.refuses(black_box(&token)));
    });
}

/// The whole verification of a token whose record has the right tag, and a hash with one wrong byte.
fn hash(scheme: Scheme, samples: usize, runner: &mut CtRunner, rng: &mut BenchRng) {
    let mut subject = Subject::open(scheme, 1, Cache::Cold);
    let token = subject.token();
    sample(samples, 32, rng, |class, place, rng| {
        subject.spoil_hash(place, rng);
        runner.run_one(class, || subject.refuses(black_box(&token)));
    });
}

/// A comparison of secrets that stops at the first difference.
fn planted_alone(runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(Cache::Hot);
    sample(SAMPLES, CHARACTERS, rng, |class, place, rng| {
        let (right, wrong) = subject.wrong_token(place, rng);
        runner.run_one(class, || {
            planted::equal(black_box(right), black_box(&wrong))
        });
    });
}

/// The same at the end of a verification.
fn planted_in_a_verification(runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(Cache::Hot);
    sample(SAMPLES, CHARACTERS, rng, |class, place, rng| {
        let (right, wrong) = subject.wrong_token(place, rng);
        runner.run_one(class, || {
            subject.refuses(black_box(&wrong));
            planted::equal(black_box(right), black_box(&wrong))
        });
    });
}
