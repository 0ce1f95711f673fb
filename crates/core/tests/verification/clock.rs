//! Verification while the wall clock is set forward and back.

use std::time::Duration;

use keywright_core::{
    Caller, Denied, Expiry, IssueError, Issued, ListKeys, NewKey, Timestamp, store::Lease,
};
use pollster::block_on;

use crate::world::{World, await_that, name, operator};

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
fn an_expiry_follows_the_wall_clock_to_the_millisecond() {
    let world = World::new();
    let end = world.clock.millis() + 1_000;
    let new =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let issued = world.issue_new(new);
    world.verify(&issued.token).unwrap();
    let verify = || {
        for time in [end - HOUR, end - 1] {
            world.clock.adjust(time - world.clock.millis());
            world.verify(&issued.token).unwrap();
        }
        for time in [end, end + 1, end + HOUR] {
            world.clock.adjust(time - world.clock.millis());
            assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
        }
    };
    // The cached record serves all of them.
    assert_eq!(world.cost(verify), (0, 0));
}

/// Issues a key that expires in a second.
fn issue_brief(world: &World) -> Issued {
    let end = Timestamp::from_millis(world.clock.millis() + 1_000).unwrap();
    world.issue_new(NewKey::new(name("brief")).with_expiry(Expiry::At(end)))
}

#[test]
fn a_clock_that_is_set_back_does_not_revive_an_expired_key() {
    let world = World::new();
    // One key is rejected from the cache. The other was never used, and is rejected from the store.
    let (cached, cold) = (issue_brief(&world), issue_brief(&world));
    world.verify(&cached.token).unwrap();
    for issued in [&cached, &cold] {
        world.clock.adjust(1_000);
        assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
        world.clock.adjust(-1_000);
        assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
    }
    let rotated = world.rotate(&cached.key.id);
    assert!(matches!(rotated, Err(IssueError::NotRotatable)));
    let caller = Caller::from(&cached.key);
    assert!(!world.keys.verifier().is_current(&caller));
    let list = block_on(world.keys.issuer().list(&caller, ListKeys::new()));
    assert!(matches!(list, Err(IssueError::CallerInactive)));
    // The creation time of a new key comes from the clock.
    let new = world.issue();
    assert_eq!(new.key.created_at().as_millis(), world.clock.millis());
    // Another process has not observed the later time.
    let other = world.reopened(|config| config);
    other.verify(&cached.token).unwrap();
}

#[test]
fn a_key_that_expires_unobserved_is_not_revived_either() {
    let world = World::new();
    let issued = issue_brief(&world);
    world.clock.adjust(1_000);
    // Every operation of the issuer observes the time, and so does the background thread.
    world.find(&world.issue().key.id);
    world.clock.adjust(-1_000);
    assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));

    let world = World::new();
    let issued = issue_brief(&world);
    world.clock.adjust(1_000);
    let used = world.reopened(|config| config).issue();
    world.verify(&used.token).unwrap();
    await_that(|| !world.store.touches(&used.key.id).is_empty());
    world.clock.adjust(-1_000);
    assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
}

#[test]
fn a_caller_without_a_key_that_has_expired_is_not_revived() {
    let world = World::new();
    let end = Timestamp::from_millis(world.clock.millis() + 1_000).unwrap();
    let caller = operator().with_expires_at(end);
    let create = || block_on(world.keys.issuer().create(&caller, NewKey::new(name("n"))));
    assert!(create().is_ok());
    world.clock.adjust(1_000);
    assert!(matches!(create(), Err(IssueError::CallerInactive)));
    world.clock.adjust(-1_000);
    assert!(matches!(create(), Err(IssueError::CallerInactive)));
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
