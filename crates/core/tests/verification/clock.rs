//! Verification while the wall clock is set forward and back.

use std::time::Duration;

use keywright_core::{Denied, Expiry, NewKey, Timestamp, store::Lease};

use crate::world::{World, name};

const HOUR: i64 = 3_600_000;

#[test]
fn a_lease_does_not_follow_the_wall_clock() {
    let lease = Lease::lapsed();
    lease.extend(lease.now() + Duration::from_secs(24 * 3600));
    let world = World::leased(lease, |config| config);
    let issued = world.issue();
    world.verify(&issued.token).unwrap();
    let verify = || {
        for step in [HOUR, -2 * HOUR, HOUR] {
            world.clock.adjust(step);
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(verify), (0, 0));
}

#[test]
fn an_expiry_follows_the_wall_clock_to_the_millisecond_in_both_directions() {
    let world = World::new();
    let end = world.clock.millis() + 1_000;
    let new =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let issued = world.issue_new(new);
    world.verify(&issued.token).unwrap();
    let verify = || {
        for step in [0, 1, -1, HOUR, -HOUR] {
            world.clock.adjust(999 + step);
            let now = world.clock.millis();
            if now < end {
                world.verify(&issued.token).unwrap();
            } else {
                assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
            }
            world.clock.adjust(-999 - step);
        }
    };
    // The cached record serves all of them.
    assert_eq!(world.cost(verify), (0, 0));
}

#[test]
fn a_last_use_never_goes_back() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    let mut latest = 0;
    for step in [0, HOUR, -2 * HOUR, 1, HOUR, HOUR] {
        world.clock.adjust(step);
        latest = latest.max(world.clock.millis());
        let verified = world.verify(&issued.token).unwrap();
        assert_eq!(verified.last_used_at().unwrap().as_millis(), latest);
        world.flush().unwrap();
        let written = world.store.record(&id).key.last_used_at;
        assert_eq!(written.unwrap().as_millis(), latest);
        assert!(world.store.touches(&id).is_sorted());
    }
}
