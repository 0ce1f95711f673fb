//! Row 4: minting a token, including the hash and the tag of its secret.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::sync::Arc;

use api_keys_simplified::{ApiKeyManagerV0, HashConfig, KeyConfig};
use criterion::Criterion;
use futures_executor::block_on;
use keywright_benches::{compare_in_turn, run};
use keywright_core::{Config, Environment, Keywright, MemoryStore, Prefix, Scheme, Workspace};
use prefixed_api_key::PrefixedApiKeyController;

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

    // Keywright's default parameters. The crate's own defaults use more memory.
    let cost = HashConfig::custom(19_456, 2, 1).unwrap();
    let grace = std::time::Duration::ZERO;
    let aks = ApiKeyManagerV0::init("acme", KeyConfig::default(), cost, grace).unwrap();

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
            ("prefixed-api-key", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| pak.generate_key_and_hash());
                });
            }),
            ("api-keys-simplified", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        aks.generate(api_keys_simplified::Environment::production())
                            .unwrap()
                    });
                });
            }),
        ],
    );
}
