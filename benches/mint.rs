//! Row 4: minting a token, including the hash and the tag of its secret.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::sync::Arc;

use criterion::Criterion;
use futures_executor::block_on;
use hmac::{Hmac, KeyInit, Mac};
use keywright_benches::{compare_in_turn, run};
use keywright_core::{Config, Environment, Keywright, MemoryStore, Prefix, Scheme, Workspace};
use prefixed_api_key::PrefixedApiKeyController;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};

fn main() {
    run(mint);
}

fn mint(criterion: &mut Criterion) {
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
    let workspace = Workspace::parse("default").unwrap();

    let pak = PrefixedApiKeyController::configure()
        .prefix("acme".to_owned())
        .seam_defaults()
        .finalize()
        .unwrap();

    compare_in_turn(
        criterion,
        "mint",
        &mut [
            ("keywright", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        block_on(keys.issuer().mint(&workspace, Environment::Live)).unwrap()
                    });
                });
            }),
            ("parts", &mut |group, id| {
                let mac = Hmac::<Sha256>::new_from_slice(b"keywright").unwrap();
                group.bench_function(id, |bencher| {
                    // A future as well: one that is always ready takes 0.1 µs here.
                    bencher.iter(|| block_on(async { parts(&mac) }));
                });
            }),
            ("prefixed-api-key", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| pak.generate_key_and_hash());
                });
            }),
        ],
    );
}

/// The parts of minting that cannot be avoided, with inputs of the same lengths: a seed, the random
/// characters and the salt, the digest of what the hash and the tag are bound to, both of them,
/// and the checksum.
fn parts(mac: &Hmac<Sha256>) -> ([u8; 32], [u8; 32], u32) {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let mut random = ChaCha20Rng::from_seed(seed);
    let (mut characters, mut salt) = ([0; 64], [0; 16]);
    random.fill_bytes(&mut characters);
    random.fill_bytes(&mut salt);
    let (id, secret) = (&characters[..20], &characters[..43]);
    let binding = Sha256::digest([id, b"defaultlive"].concat());
    let hash = mac.clone().chain_update([1]).chain_update(salt);
    let hash = hash.chain_update(binding).chain_update(secret).finalize();
    let tag = mac.clone().chain_update([2]).chain_update(binding);
    let tag = tag.chain_update(secret).finalize();
    let checksum = crc32fast::hash(&characters[..60]);
    (hash.into_bytes().into(), tag.into_bytes().into(), checksum)
}
