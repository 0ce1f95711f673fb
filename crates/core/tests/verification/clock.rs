//! A wall clock that is set forward and back.

use std::time::Duration;

use keywright_core::{Denied, Expiry, Lease, NewKey, Timestamp};

use crate::world::{World, name};

const HOUR: i64 = 3_600_000;

#[test]
fn a_lease_does_not_follow_the_wall_clock() {
    let lease = Lease::lapsed();
    lease.extend(lease.now() + Duration::from_secs(24 * 3600));
    let world = World::leased(lease, |config| config);
    let issued = world.issue();
    world.verify(&issued.token).unwrap();
    let set = || {
        for turn in [HOUR, -2 * HOUR, HOUR] {
            world.clock.turn(turn);
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(set), (0, 0));
}

#[test]
fn an_expiry_follows_the_wall_clock_to_the_millisecond_back_and_forth() {
    let world = World::new();
    let end = world.clock.millis() + 1_000;
    let new =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let issued = world.issue_new(new);
    world.verify(&issued.token).unwrap();
    let set = || {
        for turn in [0, 1, -1, HOUR, -HOUR] {
            world.clock.turn(999 + turn);
            let now = world.clock.millis();
            if now < end {
                world.verify(&issued.token).unwrap();
            } else {
                assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
            }
            world.clock.turn(-999 - turn);
        }
    };
    // The copy of the record is good for all of them.
    assert_eq!(world.cost(set), (0, 0));
}

#[test]
fn a_last_use_never_goes_back() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    let mut latest = 0;
    for turn in [0, HOUR, -2 * HOUR, 1, HOUR, HOUR] {
        world.clock.turn(turn);
        latest = latest.max(world.clock.millis());
        let verified = world.verify(&issued.token).unwrap();
        assert_eq!(verified.last_used_at().unwrap().as_millis(), latest);
        world.flush().unwrap();
        let written = world.store.record(&id).key.last_used_at;
        assert_eq!(written.unwrap().as_millis(), latest);
        assert!(world.store.touches(&id).is_sorted());
    }
}
