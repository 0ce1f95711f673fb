//! Tests whether the time of a rejection depends on how much of a secret is correct.
//!
//! Welch's t-test compares rejections where the first byte is wrong with rejections where the last
//! byte is, as in [dudect](https://eprint.iacr.org/2016/1123). |t| above 5 means that the times
//! differ. Planted comparisons that stop at the first difference show that the measurement detects
//! such a leak.
//!
//! `cargo bench` measures. `scripts/timing` measures and evaluates the results.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot run must stop"
)]

mod base64;
mod planted;
mod subject;
#[expect(
    dead_code,
    reason = "the measurement uses only a part of the library's source"
)]
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

/// The number of samples of each comparison.
const SAMPLES: usize = 400_000;

/// The number of samples where a separate thread runs Argon2.
const SLOW_SAMPLES: usize = 40_000;

/// The number of samples if nothing is measured.
const FEW: usize = 100;

/// The number of keys to choose from.
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
            hash(issued(Scheme::HmacSha256), SAMPLES, runner, rng);
        }),
        ("hash_argon2id", |runner, rng| {
            let cost = Argon2Params::new(8, 1, 1).unwrap();
            hash(issued(Scheme::Argon2id(cost)), SLOW_SAMPLES, runner, rng);
        }),
        ("hash_foreign", |runner, rng| {
            hash(Subject::import(), SAMPLES, runner, rng);
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

/// Assigns each sample to a class at random: the wrong position is the first or the last.
fn sample(
    count: usize,
    indices: usize,
    rng: &mut BenchRng,
    mut run: impl FnMut(Class, usize, &mut BenchRng),
) {
    for _ in 0..if runs_once() { FEW } else { count } {
        let class = match rng.random::<bool>() {
            true => (Class::Left, 0),
            false => (Class::Right, indices - 1),
        };
        // Hide the class from the compiler. Otherwise it generates different code for each class.
        let (class, index) = black_box(class);
        run(class, index, rng);
    }
}

/// Opens a subject with many keys.
fn many(cache: Cache) -> Subject {
    let count = if runs_once() { 10 } else { KEYS };
    Subject::open(Scheme::HmacSha256, count, cache)
}

/// Opens a subject with one key, which is never used.
fn issued(scheme: Scheme) -> Subject {
    Subject::open(scheme, 1, Cache::Cold)
}

/// Measures the verification of a token whose secret has one wrong character.
fn secret(cache: Cache, runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(cache);
    // Create the tokens before the measurement. Data that was just written or compared is read at a
    // different speed.
    let mut tokens = Vec::new();
    sample(SAMPLES, CHARACTERS, rng, |class, index, rng| {
        let (_, token) = subject.wrong_token(index, rng);
        tokens.push((class, token));
    });
    for (class, token) in tokens {
        runner.run_one(class, || subject.rejects(black_box(&token)));
    }
}

/// Measures the comparison of two MACs that differ in one bit of the first word or of the last
/// word.
fn token_mac(runner: &mut CtRunner, rng: &mut BenchRng) {
    sample(SAMPLES, 2, rng, |class, index, rng| {
        let right: [u64; 2] = rng.random();
        let mut wrong = right;
        wrong[index] ^= 1 << rng.random_range(0..u64::BITS);
        let [right, wrong] = [right, wrong].map(TokenMac::new);
        runner.run_one(class, || black_box(right).matches(black_box(wrong)));
    });
}

/// Measures the verification of a token whose record has a tag with one wrong byte.
fn tag(runner: &mut CtRunner, rng: &mut BenchRng) {
    let mut subject = issued(Scheme::HmacSha256);
    let token = subject.token();
    sample(SAMPLES, 8, rng, |class, index, rng| {
        subject.corrupt_tag(index, rng);
        runner.run_one(class, || subject.rejects(black_box(&token)));
    });
}

/// Measures the verification of a token whose record has the correct tag and a hash with one wrong
/// byte.
fn hash(mut subject: Subject, samples: usize, runner: &mut CtRunner, rng: &mut BenchRng) {
    let token = subject.token();
    sample(samples, 32, rng, |class, index, rng| {
        subject.corrupt_hash(index, rng);
        runner.run_one(class, || subject.rejects(black_box(&token)));
    });
}

/// Measures a comparison of secrets that stops at the first difference.
fn planted_alone(runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(Cache::Hot);
    sample(SAMPLES, CHARACTERS, rng, |class, index, rng| {
        let (right, wrong) = subject.wrong_token(index, rng);
        runner.run_one(class, || {
            planted::equal(black_box(right), black_box(&wrong))
        });
    });
}

/// Measures the same comparison at the end of a verification.
fn planted_in_a_verification(runner: &mut CtRunner, rng: &mut BenchRng) {
    let subject = many(Cache::Hot);
    sample(SAMPLES, CHARACTERS, rng, |class, index, rng| {
        let (right, wrong) = subject.wrong_token(index, rng);
        runner.run_one(class, || {
            subject.rejects(black_box(&wrong));
            planted::equal(black_box(right), black_box(&wrong))
        });
    });
}
