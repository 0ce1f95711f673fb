//! Disabled keys, and updates that other instances over the same store see.

use keywright_core::{
    Denied, Expiry, IssueError, KeyId, KeyUpdate, NewKey, NewRotation, Timestamp, store::Lease,
};
use pollster::block_on;

use crate::world::{World, forge, name};

fn set_enabled(world: &World, id: &KeyId, enabled: bool) {
    let update = KeyUpdate::new().with_enabled(enabled);
    world.update(id, &update).unwrap();
}

#[test]
fn a_disabled_key_is_denied_before_its_secret_is_hashed() {
    let maker = World::new();
    let issued = maker.issue();
    let id = issued.key.id;
    maker.verify(&issued.token).unwrap();
    set_enabled(&maker, &id, false);
    // The first has the key in its cache, and the second does not.
    for world in [&maker, &maker.reopened(|config| config)] {
        let denied = || assert_eq!(world.denied(&issued.token), Denied::Disabled(id));
        assert_eq!(world.cost(denied), (1, 0));
    }
    let forged = forge(&id, &maker.issue().token);
    assert_eq!(maker.denied(&forged), Denied::WrongSecret(id));
}

#[test]
fn a_key_that_is_enabled_again_is_not_hashed_again() {
    let world = World::new();
    let issued = world.issue();
    world.verify(&issued.token).unwrap();
    for _ in 0..3 {
        set_enabled(&world, &issued.key.id, false);
        let denied = || assert_eq!(world.denied(&issued.token), Denied::Disabled(issued.key.id));
        assert_eq!(world.cost(denied), (1, 0));
        assert_eq!(world.cost(denied), (0, 0));
        set_enabled(&world, &issued.key.id, true);
        assert_eq!(
            world.cost(|| drop(world.verify(&issued.token).unwrap())),
            (1, 0)
        );
    }
}

#[test]
fn a_key_is_denied_as_revoked_before_expired_before_disabled() {
    let world = World::new();
    let end = Timestamp::from_millis(world.clock.millis() + 1_000).unwrap();
    let issued = world.issue_new(NewKey::new(name("n")).with_expiry(Expiry::At(end)));
    let id = issued.key.id;
    world.verify(&issued.token).unwrap();
    let cold = world.reopened(|config| config.with_cache(0));
    let denied = || [&world, &cold].map(|world| world.denied(&issued.token));
    set_enabled(&world, &id, false);
    assert_eq!(denied(), [Denied::Disabled(id); 2]);
    world.clock.adjust(1_000);
    assert_eq!(denied(), [Denied::Expired(id); 2]);
    world.revoke(&id);
    assert_eq!(denied(), [Denied::Revoked(id); 2]);
}

#[test]
fn a_use_of_a_disabled_key_is_not_recorded() {
    let world = World::new();
    let issued = world.issue();
    set_enabled(&world, &issued.key.id, false);
    world.denied(&issued.token);
    world.denied(&issued.token);
    assert_eq!(world.find(&issued.key.id).last_used_at, None);
}

#[test]
fn a_caller_whose_key_is_paused_after_its_verification_can_do_nothing() {
    let world = World::new();
    let issued = world.issue();
    let caller = world.verify(&issued.token).unwrap().caller();
    let (issuer, id) = (world.keys.issuer(), issued.key.id);
    let create = || block_on(issuer.create(&caller, NewKey::new(name("n")))).map(drop);
    let rotate = || block_on(issuer.rotate(&caller, &id, &NewRotation::new())).map(drop);
    // Right before the store changes anything.
    for attempt in [&create as &dyn Fn() -> Result<(), IssueError>, &rotate] {
        let other = world.clone();
        world
            .store
            .before_insert(move || set_enabled(&other, &id, false));
        assert!(matches!(attempt(), Err(IssueError::CallerInactive)));
        assert!(matches!(attempt(), Err(IssueError::CallerInactive)));
        set_enabled(&world, &id, true);
    }
    create().unwrap();
    rotate().unwrap();
}

#[test]
fn all_verifiers_over_one_store_apply_each_kind_of_update_at_once() {
    let lapsed = World::leased(Lease::lapsed(), |config| config);
    for first in [World::new(), lapsed] {
        let issued = first.issue();
        let id = issued.key.id;
        let worlds = [&first, &first.reopened(|config| config)];
        let verify_all = || worlds.map(|world| world.verify(&issued.token));
        assert!(verify_all().iter().all(Result::is_ok));
        let updates = [
            KeyUpdate::new().with_permissions("calls:read".parse().unwrap()),
            KeyUpdate::new().with_name(name("renamed")),
        ];
        for (maker, update) in worlds.into_iter().zip(updates) {
            let expected = maker.update(&id, &update).unwrap().key;
            for verified in verify_all() {
                let mut key = verified.unwrap().key().clone();
                key.last_used_at = expected.last_used_at;
                assert_eq!(key, expected);
            }
        }
        let denied_by_all = |update: KeyUpdate, denial| {
            worlds[1].update(&id, &update).unwrap();
            assert_eq!(worlds.map(|world| world.denied(&issued.token)), [denial; 2]);
        };
        denied_by_all(KeyUpdate::new().with_enabled(false), Denied::Disabled(id));
        let restricted = KeyUpdate::new()
            .with_enabled(true)
            .with_allowed_ips("::1".parse().unwrap());
        denied_by_all(restricted, Denied::AddressNotAllowed(id));
        let end = Timestamp::from_millis(first.clock.millis() + 1).unwrap();
        let ended = KeyUpdate::new().without_allowed_ips().with_expires_at(end);
        first.update(&id, &ended).unwrap();
        assert!(verify_all().iter().all(Result::is_ok));
        first.clock.adjust(1);
        assert_eq!(
            worlds.map(|world| world.denied(&issued.token)),
            [Denied::Expired(id); 2]
        );
    }
}

#[test]
fn a_record_that_was_read_before_a_pause_is_not_used_after_it() {
    let world = World::new();
    for _ in 0..100 {
        let issued = world.issue();
        let (other, id) = (world.clone(), issued.key.id);
        world
            .store
            .after_find(move || set_enabled(&other, &id, false));
        // The read and the call began before the pause, so either result is correct.
        let _ = world.verify(&issued.token);
        assert_eq!(world.denied(&issued.token), Denied::Disabled(id));
    }
}
