//! Threads and processes that draw at the same time.

use std::{
    collections::HashSet,
    sync::{Arc, Barrier},
    thread,
};

use keywright_assurance::canary::secret_of;
use keywright_core::{
    Caller, Config, Environment, Keywright, MemoryStore, Permissions, Prefix, Scheme, Workspace,
};
use pollster::block_on;

use crate::forked::in_children;

const THREADS: usize = 1000;
const CHILDREN: usize = 1000;
const KEYS: usize = 10;

/// Length of an id in a token.
const ID_LENGTH: usize = 16;

pub(crate) fn open() -> Keywright {
    let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
    block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::new(Workspace::parse("acme").unwrap(), Permissions::all())
}

/// What is drawn for one key: the token, and the salt of its hash.
fn draw(keys: &Keywright) -> String {
    let workspace = Workspace::parse("acme").unwrap();
    let minted = block_on(keys.issuer().mint(&workspace, Environment::Live));
    let minted = minted.unwrap();
    format!("{} {}", minted.token.expose(), minted.credential.hash)
}

/// Asserts that of so many keys no two have anything in common.
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
    // 128 bits of secrets that begin alike would be half of a state in common.
    let beginnings: HashSet<&str> = keys.iter().map(|key| &parts[1](key)[..22]).collect();
    assert_eq!(beginnings.len(), count);
}

#[test]
fn a_thousand_threads_draw_nothing_twice() {
    let keys = open();
    let all_at_once = Barrier::new(THREADS);
    let drawn: Vec<String> = thread::scope(|scope| {
        let draw_some = || {
            all_at_once.wait();
            (0..KEYS).map(|_| draw(&keys)).collect::<Vec<_>>()
        };
        let start = |_| {
            let thread = thread::Builder::new().stack_size(256 * 1024);
            thread.spawn_scoped(scope, draw_some).unwrap()
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        let drawn = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        drawn.collect()
    });
    assert_distinct(&drawn, THREADS * KEYS);
}

/// A state that was copied by the fork would be the same in each child.
#[test]
fn a_thousand_forked_children_draw_nothing_twice() {
    let keys = open();
    let mut drawn: Vec<String> = (0..KEYS).map(|_| draw(&keys)).collect();
    drawn.extend(in_children(CHILDREN, |_| {
        (0..KEYS).map(|_| draw(&keys)).collect()
    }));
    drawn.extend((0..KEYS).map(|_| draw(&keys)));
    assert_distinct(&drawn, (CHILDREN + 2) * KEYS);
}

/// What the test above would find.
#[test]
fn a_state_that_was_copied_by_the_fork_is_found() {
    use rand_core::{Rng, SeedableRng};
    let mut before = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
    before.next_u64();
    let drawn = in_children(10, |_| vec![before.clone().next_u64().to_string()]);
    assert_eq!(drawn.len(), 10);
    assert_eq!(drawn.into_iter().collect::<HashSet<_>>().len(), 1);
}
