//! Eviction from caches of few keys, and verification without a cache.

use crate::world::{World, name};
use keywright_core::{Denied, Issued, KeyUpdate, Metadata, NewKey, store::Lease};

#[test]
fn without_a_cache_each_verification_reads_the_store_and_hashes_the_secret() {
    let world = World::with(|config| config.with_cache(0));
    let issued = world.issue();
    let ten = || {
        for _ in 0..10 {
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(ten), (10, 10));
    // The last use is not written yet, but shows already.
    let shown = world.find(&issued.key.id);
    assert_eq!(
        shown.last_used_at.unwrap().as_millis(),
        world.clock.millis()
    );
    world.flush().unwrap();
    let written = world.store.record(&issued.key.id).key.last_used_at;
    assert_eq!(written.unwrap().as_millis(), world.clock.millis());
    world.revoke(&issued.key.id);
    assert_eq!(world.denied(&issued.token), Denied::Revoked(issued.key.id));
}

#[test]
fn a_cache_of_one_key_holds_one_key() {
    let world = World::with(|config| config.with_cache(1));
    let keys = world.issue_many(3);
    let again = |index: usize| {
        let issued: &Issued = &keys[index];
        world.cost(|| {
            for _ in 0..10 {
                world.verify(&issued.token).unwrap();
            }
        })
    };
    assert_eq!(again(0), (1, 1));
    assert_eq!(again(0), (0, 0));
    // A key that was used since its fill survives one new key, but not a second new key.
    let (finds, runs) = again(1);
    assert!((1..=2).contains(&finds) && finds == runs, "{finds} {runs}");
    assert_eq!(again(1), (0, 0));
    world.rename(&keys[1].key.id, "renamed");
    assert_eq!(again(1), (1, 0));
    world.revoke(&keys[1].key.id);
    assert_eq!(
        world.denied(&keys[1].token),
        Denied::Revoked(keys[1].key.id)
    );
    let all = || {
        for issued in [&keys[0], &keys[2], &keys[0], &keys[2]] {
            world.verify(&issued.token).unwrap();
        }
    };
    let (_, runs) = world.cost(all);
    assert!((2..=4).contains(&runs), "{runs}");
}

/// Verifies many keys once each, and one key after each of them. Returns what the one key costs.
fn cost_among_many(world: &World) -> (u64, u64) {
    let hot = world.issue();
    world.verify(&hot.token).unwrap();
    world.verify(&hot.token).unwrap();
    let mut cost = (0, 0);
    for issued in world.issue_many(500) {
        world.verify(&issued.token).unwrap();
        let (finds, runs) = world.cost(|| drop(world.verify(&hot.token).unwrap()));
        cost = (cost.0 + finds, cost.1 + runs);
    }
    cost
}

#[test]
fn a_key_that_is_used_among_many_others_stays_cached() {
    for size in [2, 10, 100] {
        let world = World::with(|config| config.with_cache(size));
        assert_eq!(cost_among_many(&world), (0, 0), "cache of {size}");
    }
}

#[test]
fn a_key_that_is_used_among_many_others_stays_cached_without_a_lease() {
    for size in [2, 10, 100] {
        let world = World::leased(Lease::lapsed(), |config| config.with_cache(size));
        assert_eq!(cost_among_many(&world), (500, 0), "cache of {size}");
    }
}

#[test]
fn at_most_32_used_keys_get_a_second_chance_for_one_new_key() {
    let maker = World::new();
    let keys = maker.issue_many(100);
    let new = maker.issue();
    let world = maker.reopened(|config| config.with_cache(100));
    // Verify the keys twice: only a use after the fill marks a key as used.
    for issued in keys.iter().chain(&keys).chain([&new]) {
        world.verify(&issued.token).unwrap();
    }
    // The 33rd key was evicted. All others are cached, and reading them evicts nothing.
    for (number, issued) in keys.iter().enumerate().filter(|(number, _)| *number != 32) {
        let again = || drop(world.verify(&issued.token).unwrap());
        assert_eq!(world.cost(again), (0, 0), "{number}");
    }
    let again = || drop(world.verify(&keys[32].token).unwrap());
    assert_eq!(world.cost(again), (1, 1));
}

fn metadata(bytes: usize) -> Metadata {
    Metadata::parse(&format!(r#"{{"m":"{}"}}"#, "x".repeat(bytes - 8))).unwrap()
}

fn issue_large(world: &World) -> Issued {
    let mut new = NewKey::new(name("large"));
    new.metadata = Some(metadata(4096));
    world.issue_new(new)
}

/// Returns how many of the keys are verified without a read of the store.
fn cached(world: &World, keys: &[Issued]) -> usize {
    let verify = |issued: &&Issued| {
        let (finds, _) = world.cost(|| drop(world.verify(&issued.token).unwrap()));
        finds == 0
    };
    // Start with the key that was verified last, because each key that is not cached evicts others.
    keys.iter().rev().take_while(verify).count()
}

#[test]
fn large_keys_do_not_exceed_the_byte_limit_of_the_cache() {
    let maker = World::new();
    let large: Vec<_> = (0..50).map(|_| issue_large(&maker)).collect();
    let small = maker.issue_many(50);
    let world = maker.reopened(|config| config.with_cache_bytes(100_000));
    for issued in &large {
        world.verify(&issued.token).unwrap();
    }
    // Each key takes 4 KiB for its metadata and less than 1 KiB for everything else.
    let count = cached(&world, &large);
    assert!(
        (100_000 / 5_120..=100_000 / 4_096).contains(&count),
        "{count}"
    );
    for issued in small.iter().chain(&small) {
        world.verify(&issued.token).unwrap();
    }
    assert_eq!(cached(&world, &small), 50);
}

#[test]
fn a_key_that_grows_evicts_others() {
    let maker = World::new();
    let keys = maker.issue_many(20);
    let world = maker.reopened(|config| config.with_cache_bytes(25_000));
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    assert_eq!(cached(&world, &keys), 20);
    for issued in &keys {
        let update = KeyUpdate::new().with_metadata(metadata(4096));
        world.update(&issued.key.id, &update).unwrap();
        world.verify(&issued.token).unwrap();
    }
    let count = cached(&world, &keys);
    assert!(
        (25_000 / 5_120..=25_000 / 4_096).contains(&count),
        "{count}"
    );
}

#[test]
fn a_cache_with_a_limit_of_zero_bytes_holds_no_key() {
    let world = World::with(|config| config.with_cache_bytes(0));
    let issued = world.issue();
    let twice = || {
        world.verify(&issued.token).unwrap();
        world.verify(&issued.token).unwrap();
    };
    assert_eq!(world.cost(twice), (2, 2));
}
