//! A caller hands on no more than it has: to a key that it updates, creates or rotates.

use std::time::Duration;

use keywright_core::{
    AllowedIps, Attributes, Caller, Expiry, IssueError, Issued, KeyId, KeyUpdate, NewKey,
    NewRotation, Permissions, Verified,
};
use pollster::block_on;

use crate::world::{World, name, operator};

const OFFICE: &str = "192.0.2.0/24";

fn addresses(text: &str) -> AllowedIps {
    text.parse().unwrap()
}

fn permissions(text: &str) -> Permissions {
    text.parse().unwrap()
}

/// Issues a key with these permissions, which another one may update.
fn issue(world: &World, granted: &str) -> Issued {
    world.issue_new(NewKey::new(name("key")).with_permissions(permissions(granted)))
}

fn update(
    world: &World,
    caller: &Caller,
    id: &KeyId,
    update: &KeyUpdate,
) -> Result<(), IssueError> {
    block_on(world.keys.issuer().update(caller, id, update)).map(drop)
}

#[test]
fn a_key_that_expires_or_is_restricted_cannot_widen_one_that_is_not() {
    let world = World::new();
    let end = world
        .keys
        .issuer()
        .now()
        .saturating_add(Duration::from_secs(60));
    let manager = || {
        NewKey::new(name("manager")).with_permissions(permissions("api_keys:write,calls:*,ping"))
    };
    let expiring = world.issue_new(manager().with_expiry(Expiry::At(end)));
    let expiring = world.verify(&expiring.token).unwrap().caller();
    let restricted = world.issue_new(manager().with_allowed_ips(addresses(OFFICE)));
    let restricted = world
        .verify_from(&restricted.token, "192.0.2.1")
        .unwrap()
        .caller();
    let widen = KeyUpdate::new().with_permissions(permissions("calls:*,ping"));
    let narrow = KeyUpdate::new().with_permissions(permissions("ping"));
    let (pause, resume) = (
        KeyUpdate::new().with_enabled(false),
        KeyUpdate::new().with_enabled(true),
    );
    for caller in [&expiring, &restricted] {
        let id = issue(&world, "calls:read,ping").key.id;
        let before = world.find(&id);
        let rejected = update(&world, caller, &id, &widen).unwrap_err();
        assert!(matches!(
            rejected,
            IssueError::ExpiryBeyondCaller | IssueError::AddressesBeyondCaller
        ));
        assert_eq!(world.find(&id), before);
        // An update that takes authority away is always possible.
        update(&world, caller, &id, &narrow).unwrap();
        update(&world, caller, &id, &pause).unwrap();
        assert!(update(&world, caller, &id, &resume).is_err());
    }
    // A key within the caller's own limits can be widened.
    let id = issue(&world, "ping").key.id;
    let widen = widen
        .with_expires_at(end)
        .with_allowed_ips(addresses("192.0.2.7"));
    update(&world, &expiring, &id, &widen).unwrap();
    let id = issue(&world, "ping").key.id;
    update(&world, &restricted, &id, &widen).unwrap();
}

/// Returns a key that creates and rotates others, as its caller was when its request began.
fn caller_of(world: &World, manager: &Issued) -> Caller {
    let verified: Verified = world.verify_from(&manager.token, "192.0.2.1").unwrap();
    verified.caller()
}

#[test]
fn a_caller_that_is_restricted_during_its_request_is_rejected_from_other_addresses() {
    let world = World::new();
    let manager = issue(&world, "*");
    let caller = caller_of(&world, &manager);
    let elsewhere = KeyUpdate::new().with_allowed_ips(addresses("203.0.113.0/24"));
    world.update(&manager.key.id, &elsewhere).unwrap();
    let target = world.issue().key.id;
    let issuer = world.keys.issuer();
    let rejections = [
        block_on(issuer.create(&caller, NewKey::new(name("n")))).map(drop),
        block_on(issuer.rotate(&caller, &target, &NewRotation::new())).map(drop),
        update(
            &world,
            &caller,
            &target,
            &KeyUpdate::new().with_enabled(false),
        ),
    ];
    for rejection in rejections {
        assert!(matches!(rejection, Err(IssueError::CallerAddress)));
    }
    // A caller whose address the host never learned is rejected as well.
    let unknown = issue(&world, "*");
    let caller = world.verify(&unknown.token).unwrap().caller();
    world.update(&unknown.key.id, &elsewhere).unwrap();
    let rejected = block_on(issuer.create(&caller, NewKey::new(name("n")))).map(drop);
    assert!(matches!(rejected, Err(IssueError::CallerAddress)));
}

#[test]
fn a_new_key_gets_the_attributes_that_its_creator_has_now() {
    let world = World::new();
    let attributes = |text| Attributes::parse(text).unwrap();
    let gold = operator().with_attributes(attributes(r#"{"plan":"gold"}"#));
    let issuer = world.keys.issuer();
    let manager = block_on(issuer.create(&gold, NewKey::new(name("manager")))).unwrap();
    let caller = caller_of(&world, &manager);
    let free = attributes(r#"{"plan":"free"}"#);
    block_on(issuer.set_attributes(&operator(), &manager.key.id, Some(free.clone()))).unwrap();
    let child = block_on(issuer.create(&caller, NewKey::new(name("child")))).unwrap();
    assert_eq!(child.key.attributes, Some(free));
    // Attributes that the host sets stay.
    let own = attributes(r#"{"plan":"own"}"#);
    let caller = caller.with_attributes(own.clone());
    let child = block_on(issuer.create(&caller, NewKey::new(name("child")))).unwrap();
    assert_eq!(child.key.attributes, Some(own));
}

#[test]
fn the_addresses_that_a_host_sets_and_those_of_the_key_both_count() {
    let world = World::new();
    let manager =
        NewKey::new(name("manager")).with_allowed_ips(addresses("10.1.0.0/16,192.0.2.0/24"));
    let manager = world.issue_new(manager);
    let caller = caller_of(&world, &manager).with_allowed_ips(addresses("10.0.0.0/8"));
    let issuer = world.keys.issuer();
    let create = |allowed: &str| {
        let new = NewKey::new(name("n")).with_allowed_ips(addresses(allowed));
        block_on(issuer.create(&caller, new)).map(|issued| issued.key.allowed_ips)
    };
    assert!(matches!(
        create("192.0.2.0/24"),
        Err(IssueError::AddressesBeyondCaller)
    ));
    assert!(matches!(
        create("10.2.0.0/16"),
        Err(IssueError::AddressesBeyondCaller)
    ));
    assert_eq!(
        create("10.1.2.0/24").unwrap(),
        Some(addresses("10.1.2.0/24"))
    );
    let inherited = block_on(issuer.create(&caller, NewKey::new(name("n")))).unwrap();
    assert_eq!(inherited.key.allowed_ips, Some(addresses("10.1.0.0/16")));
}
