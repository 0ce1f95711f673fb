//! Row 6: the first verification of a key, hashed with Argon2id.
//!
//! Successive runs alternate between the threads of the pool, and so between the cores, while the
//! reference stays on one. Bound to one core (`taskset -c 0`), the ratio is 1.00. The niceness of
//! the threads does not change it.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::sync::Arc;

use api_keys_simplified::{ApiKeyManagerV0, HashConfig, KeyConfig};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use criterion::Criterion;
use futures_executor::block_on;
use keywright_benches::{compare_in_turn, run};
use keywright_core::{
    Caller, Config, Keywright, MemoryStore, Name, NewKey, Permissions, Prefix, Secret, Workspace,
};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

fn main() {
    run(first_verification);
}

fn first_verification(criterion: &mut Criterion) {
    // Without a cache, each verification is a first verification.
    let config = Config::new(Prefix::parse("acme").unwrap()).with_cache(0);
    let keys = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
    let caller = Caller::new(Workspace::parse("default").unwrap(), Permissions::all());
    let new = NewKey::new(Name::parse("first verification").unwrap());
    let issued = block_on(keys.issuer().create(&caller, new)).unwrap();

    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).unwrap();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);

    let cost = HashConfig::custom(MEMORY_KIB, PASSES, LANES).unwrap();
    let grace = std::time::Duration::ZERO;
    let aks = ApiKeyManagerV0::init("acme", KeyConfig::default(), cost, grace).unwrap();
    let aks_key = aks
        .generate(api_keys_simplified::Environment::production())
        .unwrap();

    compare_in_turn(
        criterion,
        "first-verification",
        &mut [
            ("keywright", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let token = issued.token.expose().as_bytes();
                        block_on(keys.verifier().verify(token)).unwrap()
                    });
                });
            }),
            ("argon2", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let (secret, salt) = ([b'0'; Secret::LENGTH], [0; 16]);
                        let mut output = [0; 32];
                        argon2
                            .hash_password_into_with_memory(
                                &secret,
                                &salt,
                                &mut output,
                                &mut memory,
                            )
                            .unwrap();
                        output
                    });
                });
            }),
            ("api-keys-simplified", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        aks.verify(aks_key.key(), aks_key.expose_hash().hash())
                            .unwrap()
                    });
                });
            }),
        ],
    );
}
