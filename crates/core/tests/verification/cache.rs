//! What a cache of a few keys keeps, and one of none.

use keywright_core::{Denied, Lease};

use crate::world::World;

#[test]
fn without_a_cache_each_verification_reads_and_hashes() {
    let world = World::with(|config| config.with_cache(0));
    let issued = world.issue();
    let ten = || {
        for _ in 0..10 {
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(ten), (10, 10));
    // It waits to be written, and shows already.
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
fn a_cache_of_one_key_keeps_one() {
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
    // A key that was used since it came in may outlast one newcomer, and no second one.
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

/// Verifies a key between each two of many that are verified once: what the first costs.
fn cost_beside_many(world: &World) -> (u64, u64) {
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
fn a_key_that_is_used_between_many_others_stays() {
    for size in [2, 10, 100] {
        let world = World::with(|config| config.with_cache(size));
        assert_eq!(cost_beside_many(&world), (0, 0), "of {size}");
    }
}

#[test]
fn a_key_that_is_used_between_many_others_stays_where_each_use_reads_the_record() {
    for size in [2, 10, 100] {
        let world = World::leased(Lease::lapsed(), |config| config.with_cache(size));
        assert_eq!(cost_beside_many(&world), (500, 0), "of {size}");
    }
}

#[test]
fn no_more_than_32_keys_that_are_in_use_are_passed_over_for_one_newcomer() {
    let maker = World::new();
    let keys = maker.issue_many(100);
    let newcomer = maker.issue();
    let world = maker.reopened(|config| config.with_cache(100));
    // Twice: a key is in use that was verified since it came in.
    for issued in keys.iter().chain(&keys).chain([&newcomer]) {
        world.verify(&issued.token).unwrap();
    }
    // The 33rd went out; all others are known, which changes nothing.
    for (number, issued) in keys.iter().enumerate().filter(|(number, _)| *number != 32) {
        let again = || drop(world.verify(&issued.token).unwrap());
        assert_eq!(world.cost(again), (0, 0), "{number}");
    }
    let again = || drop(world.verify(&keys[32].token).unwrap());
    assert_eq!(world.cost(again), (1, 1));
}
