//! Eviction from caches of few keys, and verification without a cache.

use keywright_core::{Denied, store::Lease};

use crate::world::World;

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
        let issued: &keywright_core::Issued = &keys[index];
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
