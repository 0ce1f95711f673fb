//! Tests with threads and processes that draw concurrently.

use std::{
    collections::HashSet,
    sync::{Arc, Barrier},
    thread,
};

use keywright_assurance::canary::secret_of;
use keywright_core::{
    Caller, Config, Entropy, Environment, Keywright, MemoryStore, OsEntropy, Permissions, Prefix,
    Scheme, Workspace,
};
use pollster::block_on;

use crate::forked::in_children;

const THREADS: usize = 1000;
const CHILDREN: usize = 1000;
const KEYS: usize = 10;

/// The length of an id in a token.
const ID_LENGTH: usize = 16;

pub(crate) fn open(entropy: impl Entropy + 'static) -> Keywright {
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(entropy);
    block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::new(Workspace::parse("acme").unwrap(), Permissions::all())
}

/// Returns the random values of a new key: the token, and the salt within its hash.
fn draw(keys: &Keywright) -> String {
    let workspace = Workspace::parse("acme").unwrap();
    let minted = block_on(keys.issuer().mint(&workspace, Environment::Live));
    let minted = minted.unwrap();
    format!("{} {}", minted.token.expose(), minted.credential.hash)
}

/// Asserts that there are this many keys, and that no two share an id, a secret or a salt.
fn assert_distinct(keys: &[String], count: usize) {
    assert_eq!(keys.len(), count);
    let parts: [fn(&str) -> &str; 3] = [
        |key| &key["sk_live_".len()..][..ID_LENGTH],
        |key| secret_of(key.split(' ').next().unwrap()),
        |key| key.rsplit('$').nth(1).unwrap(),
    ];
    for part in parts {
        let distinct: HashSet<&str> = keys.iter().map(|key| part(key)).collect();
        assert_eq!(distinct.len(), count, "{}", part(&keys[0]));
    }
    // Two secrets with the same first 128 bits would share half of a generator's state.
    let beginnings: HashSet<&str> = keys.iter().map(|key| &parts[1](key)[..22]).collect();
    assert_eq!(beginnings.len(), count);
}

#[test]
fn a_thousand_threads_never_draw_the_same_value() {
    let keys = open(OsEntropy::default());
    let start = Barrier::new(THREADS);
    let drawn: Vec<String> = thread::scope(|scope| {
        let draw_some = || {
            start.wait();
            (0..KEYS).map(|_| draw(&keys)).collect::<Vec<_>>()
        };
        let spawn = |_| {
            let thread = thread::Builder::new().stack_size(256 * 1024);
            thread.spawn_scoped(scope, draw_some).unwrap()
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        let drawn = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        drawn.collect()
    });
    assert_distinct(&drawn, THREADS * KEYS);
}

/// A generator's state that the fork copies would yield the same values in each child.
#[test]
fn a_thousand_forked_children_never_draw_the_same_value() {
    let keys = open(OsEntropy::default());
    let mut drawn: Vec<String> = (0..KEYS).map(|_| draw(&keys)).collect();
    drawn.extend(in_children(CHILDREN, |_| {
        (0..KEYS).map(|_| draw(&keys)).collect()
    }));
    drawn.extend((0..KEYS).map(|_| draw(&keys)));
    assert_distinct(&drawn, (CHILDREN + 2) * KEYS);
}

/// Shows the failure that the test above detects.
#[test]
fn a_generator_copied_by_a_fork_draws_the_same_value_in_each_child() {
    use rand_core::{Rng, SeedableRng};
    let mut before = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
    before.next_u64();
    let drawn = in_children(10, |_| vec![before.clone().next_u64().to_string()]);
    assert_eq!(drawn.len(), 10);
    assert_eq!(drawn.into_iter().collect::<HashSet<_>>().len(), 1);
}
