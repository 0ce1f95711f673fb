//! Introspection of tokens for a permission and an address.

use keywright_core::{
    Caller, Environment, Introspection, IntrospectionRequest, IssueError, Issued, KeyUpdate,
    NewKey, Owner, Permission, Token, Workspace,
};
use pollster::block_on;

use crate::world::{World, forge, name, operator};

fn introspect_as(
    world: &World,
    caller: &Caller,
    token: &Token,
    request: &IntrospectionRequest,
) -> Introspection {
    let issuer = world.keys.issuer();
    block_on(issuer.introspect(caller, token.expose().as_bytes(), request)).unwrap()
}

fn caller(permissions: &str) -> Caller {
    Caller::new(
        Workspace::parse("acme").unwrap(),
        permissions.parse().unwrap(),
    )
}

fn alice() -> Owner {
    Owner::parse("alice").unwrap()
}

/// Issues a key of alice that may read calls from one address.
fn issue(world: &World) -> Issued {
    let new = NewKey::new(name("n"))
        .with_permissions("calls:read".parse().unwrap())
        .with_allowed_ips("10.0.0.1".parse().unwrap());
    block_on(
        world
            .keys
            .issuer()
            .create(&operator().with_owner(alice()), new),
    )
    .unwrap()
}

fn request(permission: &str, address: &str) -> IntrospectionRequest {
    IntrospectionRequest::new()
        .with_permission(Permission::parse(permission).unwrap())
        .with_client_ip(address.parse().unwrap())
}

#[test]
fn a_token_is_valid_for_a_permission_that_its_key_has_from_an_address_that_it_allows() {
    let world = World::new();
    let issued = issue(&world);
    let introspect = |request| introspect_as(&world, &operator(), &issued.token, &request);
    let is_valid = |introspection| {
        let Introspection::Valid(key) = introspection else {
            return false;
        };
        assert_eq!(key.id, issued.key.id);
        assert_eq!(key.last_used_at.unwrap().as_millis(), world.clock.millis());
        true
    };
    // First from the store, then from the cache.
    for _ in 0..2 {
        assert!(is_valid(introspect(request("calls:read", "10.0.0.1"))));
        assert!(is_valid(introspect(request(
            "calls:read",
            "::ffff:10.0.0.1"
        ))));
        let address = "10.0.0.1".parse().unwrap();
        assert!(is_valid(introspect(
            IntrospectionRequest::new().with_client_ip(address)
        )));
        for lacking in ["calls:write", "calls:*", "*"] {
            let outcome = introspect(request(lacking, "10.0.0.1"));
            assert_eq!(outcome, Introspection::InsufficientPermission, "{lacking}");
        }
        // The address is checked before the permission, and is required.
        let elsewhere = introspect(request("calls:write", "10.0.0.2"));
        assert_eq!(elsewhere, Introspection::AddressNotAllowed);
        let unknown = introspect(IntrospectionRequest::new());
        assert_eq!(unknown, Introspection::AddressNotAllowed);
    }
}

#[test]
fn a_disabled_key_is_reported_only_with_its_secret() {
    let world = World::new();
    let issued = issue(&world);
    let other = issue(&world);
    world
        .update(&issued.key.id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    let elsewhere = request("calls:write", "10.0.0.2");
    let introspect = |token: &Token| introspect_as(&world, &operator(), token, &elsewhere);
    assert_eq!(introspect(&issued.token), Introspection::Disabled);
    assert_eq!(
        introspect(&forge(&issued.key.id, &other.token)),
        Introspection::NotFound
    );
    world.revoke(&issued.key.id);
    assert_eq!(introspect(&issued.token), Introspection::Revoked);
}

#[test]
fn a_caller_that_does_not_reach_a_key_learns_nothing_of_its_state() {
    let world = World::new();
    let issued = issue(&world);
    let id = issued.key.id;
    let requests = [
        request("calls:read", "10.0.0.1"),
        request("calls:write", "10.0.0.1"),
        request("calls:read", "10.0.0.2"),
        IntrospectionRequest::new(),
    ];
    let bob = Owner::parse("bob").unwrap();
    let strangers = [
        Caller::new(Workspace::parse("other").unwrap(), "*".parse().unwrap()),
        caller("*").with_environment(Environment::Test),
        caller("api_keys.own:verify").with_owner(bob),
    ];
    let assert_not_found = || {
        for stranger in &strangers {
            for request in &requests {
                let outcome = introspect_as(&world, stranger, &issued.token, request);
                assert_eq!(outcome, Introspection::NotFound, "{request:?} {stranger:?}");
            }
        }
    };
    assert_not_found();
    world
        .update(&id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    assert_not_found();
    world.revoke(&id);
    assert_not_found();
    // The owner learns it.
    let owner = caller("api_keys.own:verify").with_owner(alice());
    let outcome = introspect_as(&world, &owner, &issued.token, &requests[0]);
    assert_eq!(outcome, Introspection::Revoked);
}

#[test]
fn introspection_needs_a_permission_and_an_owner_if_it_is_limited_to_one() {
    let world = World::new();
    let issued = issue(&world);
    for powerless in [
        caller("api_keys:read,api_keys:write,api_keys.own:write,calls:*"),
        caller("api_keys.own:verify"),
    ] {
        let token = issued.token.expose().as_bytes();
        let request = IntrospectionRequest::new();
        let rejected = block_on(world.keys.issuer().introspect(&powerless, token, &request));
        assert!(
            matches!(rejected, Err(IssueError::NotPermitted(lacking)) if lacking == Permission::API_KEYS_VERIFY)
        );
    }
}
