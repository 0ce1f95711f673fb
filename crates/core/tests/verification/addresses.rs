//! Keys that may be used from some addresses only.

use keywright_core::{AllowedIps, Denied, Issued, KeyUpdate, NewKey};

use crate::world::{World, forge, name};

fn restricted(world: &World, allowed_ips: &str) -> Issued {
    let allowed_ips: AllowedIps = allowed_ips.parse().unwrap();
    world.issue_new(NewKey::new(name("n")).with_allowed_ips(allowed_ips))
}

#[test]
fn a_key_is_accepted_from_its_addresses_only_whether_or_not_it_is_cached() {
    let world = World::new();
    let issued = restricted(&world, "10.0.0.0/8,2001:db8::/32");
    let denial = Denied::AddressNotAllowed(issued.key.id);
    for round in 0..2 {
        for address in ["11.0.0.1", "::1", "::10.0.0.1", "2001:db9::"] {
            assert_eq!(
                world.denied_from(&issued.token, address),
                denial,
                "{address} {round}"
            );
        }
        // A mapped address is the IPv4 address of the client.
        assert_eq!(world.denied_from(&issued.token, "::ffff:11.0.0.1"), denial);
        for address in ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8::1"] {
            let verified = world.verify_from(&issued.token, address).unwrap();
            assert_eq!(verified.key().allowed_ips, issued.key.allowed_ips);
        }
    }
    let cached = || drop(world.verify_from(&issued.token, "10.0.0.1").unwrap());
    assert_eq!(world.cost(cached), (0, 0));
}

#[test]
fn a_restricted_key_is_denied_without_an_address_and_others_are_accepted_from_any() {
    let world = World::new();
    let (issued, other) = (restricted(&world, "0.0.0.0/0,::/0"), world.issue());
    let denial = Denied::AddressNotAllowed(issued.key.id);
    for _ in 0..2 {
        assert_eq!(world.denied(&issued.token), denial);
        world.verify_from(&issued.token, "203.0.113.1").unwrap();
        world.verify_from(&other.token, "203.0.113.1").unwrap();
        world.verify(&other.token).unwrap();
    }
}

#[test]
fn the_address_is_checked_after_the_secret_and_the_status() {
    let world = World::new();
    let (issued, other) = (restricted(&world, "10.0.0.1"), world.issue());
    let id = issued.key.id;
    let forged = forge(&id, &other.token);
    let elsewhere = "10.0.0.2";
    // First from the store, then from the cache.
    for _ in 0..2 {
        assert_eq!(
            world.denied_from(&forged, elsewhere),
            Denied::WrongSecret(id)
        );
        assert_eq!(world.denied(&forged), Denied::WrongSecret(id));
        let denial = world.denied_from(&issued.token, elsewhere);
        assert_eq!(denial, Denied::AddressNotAllowed(id));
    }
    world
        .update(&id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    assert_eq!(
        world.denied_from(&issued.token, elsewhere),
        Denied::Disabled(id)
    );
    world.revoke(&id);
    assert_eq!(
        world.denied_from(&issued.token, elsewhere),
        Denied::Revoked(id)
    );
}

#[test]
fn a_denied_address_costs_one_hash_and_is_not_a_use() {
    let world = World::new();
    let issued = restricted(&world, "10.0.0.1");
    let denied = || {
        for _ in 0..10 {
            world.denied_from(&issued.token, "10.0.0.2");
        }
    };
    assert_eq!(world.cost(denied), (1, 1));
    assert_eq!(world.find(&issued.key.id).last_used_at, None);
    world.verify_from(&issued.token, "10.0.0.1").unwrap();
    let used = world.find(&issued.key.id).last_used_at.unwrap();
    assert_eq!(used.as_millis(), world.clock.millis());
}

#[test]
fn a_key_inherits_the_addresses_of_its_creator_and_its_predecessor() {
    let world = World::new();
    let parent = restricted(&world, "10.0.0.0/8");
    let caller = world
        .verify_from(&parent.token, "10.0.0.1")
        .unwrap()
        .caller();
    let issuer = world.keys.issuer();
    let create = |new: NewKey| pollster::block_on(issuer.create(&caller, new));
    let child = create(NewKey::new(name("n"))).unwrap();
    assert_eq!(child.key.allowed_ips, parent.key.allowed_ips);
    let narrow = NewKey::new(name("n")).with_allowed_ips("10.1.0.0/16".parse().unwrap());
    create(narrow).unwrap();
    let wide = NewKey::new(name("n")).with_allowed_ips("10.0.0.0/7".parse().unwrap());
    let rejected = create(wide).map(drop);
    assert!(matches!(
        rejected,
        Err(keywright_core::IssueError::AddressesBeyondCaller)
    ));

    let successor = world.rotate(&child.key.id).unwrap();
    assert_eq!(successor.key.allowed_ips, parent.key.allowed_ips);
    // The caller would receive a secret for addresses that it lacks.
    let unrestricted = world.issue().key.id;
    let rotation = keywright_core::NewRotation::new();
    let rejected = pollster::block_on(issuer.rotate(&caller, &unrestricted, &rotation)).map(drop);
    assert!(matches!(
        rejected,
        Err(keywright_core::IssueError::AddressesBeyondCaller)
    ));
}
