//! Revocation of all keys of a workspace or an owner.

use keywright_core::{
    Caller, Environment, IssueError, Issued, KeyUpdate, NewKey, Owner, Permission, Reach, Scheme,
    Workspace, store::StoreErrorKind,
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

/// Creates a world with a fast hash.
fn world() -> World {
    World::with(|config| config.with_scheme(Scheme::HmacSha256))
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn caller(permissions: &str) -> Caller {
    Caller::new(
        Workspace::parse("acme").unwrap(),
        permissions.parse().unwrap(),
    )
}

/// Issues a key of an owner.
fn issue(world: &World, owner: &Owner, permissions: &str) -> Issued {
    let caller = operator().with_owner(owner.clone());
    let new = NewKey::new(name("n")).with_permissions(permissions.parse().unwrap());
    block_on(world.keys.issuer().create(&caller, new)).unwrap()
}

fn revoke_all(world: &World, caller: &Caller, owner: Option<&Owner>) -> Result<u64, IssueError> {
    block_on(world.keys.issuer().revoke_all(caller, owner))
}

/// Returns which of the keys are revoked.
fn revoked<const N: usize>(world: &World, keys: [&Issued; N]) -> [bool; N] {
    keys.map(|issued| world.store.record(&issued.key.id).key.revoked_at.is_some())
}

#[test]
fn all_keys_of_an_owner_are_revoked_whatever_their_status_and_no_others() {
    let world = world();
    let (alice, bob) = (owner("alice"), owner("bob"));
    let alices: Vec<_> = (0..250)
        .map(|_| issue(&world, &alice, "calls:read"))
        .collect();
    let others = [issue(&world, &bob, "calls:read"), world.issue()];
    let disabled = &alices[0].key.id;
    world
        .update(disabled, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    world.revoke(&alices[1].key.id);
    world.rotate(&alices[2].key.id).unwrap();
    // All but one of 250 keys, and a successor.
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 250);
    for issued in &alices {
        assert_eq!(revoked(&world, [issued]), [true]);
        world.denied(&issued.token);
    }
    assert_eq!(revoked(&world, others.each_ref()), [false; 2]);
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 0);
    assert_eq!(revoke_all(&world, &operator(), None).unwrap(), 2);
}

#[test]
fn a_stronger_key_is_an_error_after_the_others_are_revoked() {
    let world = world();
    let alice = owner("alice");
    // On the first page, on the last page, and of another status.
    let first = issue(&world, &alice, "billing");
    let weak: Vec<_> = (0..250)
        .map(|_| issue(&world, &alice, "calls:read"))
        .collect();
    let last = issue(&world, &alice, "billing");
    let disabled = issue(&world, &alice, "calls:read");
    world
        .update(&disabled.key.id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    let caller = caller("api_keys:read,api_keys:write,calls:*");
    for _ in 0..2 {
        let error = revoke_all(&world, &caller, Some(&alice));
        let billing = Permission::parse("billing").unwrap();
        assert!(matches!(error, Err(IssueError::NotPermitted(lacking)) if lacking == billing));
        assert!(
            weak.iter()
                .all(|issued| revoked(&world, [issued]) == [true])
        );
        assert_eq!(
            revoked(&world, [&disabled, &first, &last]),
            [true, false, false]
        );
    }
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 2);
}

#[test]
fn a_caller_that_is_one_of_the_keys_revokes_itself_last() {
    let world = world();
    let alice = owner("alice");
    let older = issue(&world, &alice, "calls:read");
    let own = issue(&world, &alice, "api_keys.own:*,calls:*");
    let newer = issue(&world, &alice, "calls:read");
    let stronger = issue(&world, &alice, "billing");
    let other = issue(&world, &owner("bob"), "calls:read");
    let caller = world.verify(&own.token).unwrap().caller();
    let error = revoke_all(&world, &caller, None);
    assert!(matches!(error, Err(IssueError::NotPermitted(_))));
    let keys = [&older, &own, &newer, &stronger, &other];
    assert_eq!(revoked(&world, keys), [true, true, true, false, false]);
}

#[test]
fn a_caller_that_reads_all_keys_and_writes_its_own_revokes_its_own() {
    let world = world();
    let (alice, bob) = (owner("alice"), owner("bob"));
    let keys = [issue(&world, &alice, ""), issue(&world, &bob, "")];
    let caller = caller("api_keys:read,api_keys.own:write").with_owner(alice);
    assert_eq!(revoke_all(&world, &caller, Some(&bob)).unwrap(), 0);
    assert_eq!(revoke_all(&world, &caller, None).unwrap(), 1);
    assert_eq!(revoked(&world, keys.each_ref()), [true, false]);
}

#[test]
fn a_test_caller_revokes_test_keys_only() {
    let world = world();
    let live = world.issue();
    let test = NewKey::new(name("n")).with_environment(Environment::Test);
    let test = world.issue_new(test);
    let caller = operator().with_environment(Environment::Test);
    assert_eq!(revoke_all(&world, &caller, None).unwrap(), 1);
    assert_eq!(revoked(&world, [&live, &test]), [false, true]);
}

#[test]
fn keys_that_are_created_in_the_meantime_are_revoked_with_their_descendants() {
    let world = world();
    let alice = owner("alice");
    let first = issue(&world, &alice, "*");
    // A key of alice creates a key after the first list was read, which creates another.
    let other = world.clone();
    let parent = Caller::from(&first.key);
    world.store.after_find(move || {
        let issuer = other.keys.issuer();
        let create = |caller| {
            let created = block_on(issuer.create(caller, NewKey::new(name("n")))).unwrap();
            Caller::from(&created.key)
        };
        create(&create(&parent));
    });
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 3);
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 0);
}

#[test]
fn a_key_of_another_owner_that_descends_from_a_revoked_key_stays_active() {
    let world = world();
    let (alice, bob) = (owner("alice"), owner("bob"));
    let (alices, bobs) = (
        issue(&world, &alice, "*"),
        issue(&world, &bob, "calls:read"),
    );
    let caller = Caller::from(&alices.key);
    let issuer = world.keys.issuer();
    let rotated = block_on(issuer.rotate(&caller, &bobs.key.id, &Default::default())).unwrap();
    assert_eq!(rotated.key.rotated_by, Some(alices.key.id));
    assert_eq!(revoke_all(&world, &operator(), Some(&alice)).unwrap(), 1);
    assert_eq!(revoked(&world, [&alices, &rotated]), [true, false]);
    // A cascade reaches it.
    block_on(issuer.revoke(&operator(), &alices.key.id, Reach::Descendants)).unwrap();
    assert_eq!(revoked(&world, [&rotated]), [true]);
}

#[test]
fn revoking_all_keys_needs_the_permissions_to_list_and_to_revoke() {
    let world = world();
    let issued = world.issue();
    for permissions in [
        "",
        "api_keys:read",
        "api_keys:write",
        "api_keys.own:*",
        "api_keys.self:rotate",
    ] {
        let error = revoke_all(&world, &caller(permissions), None);
        assert!(
            matches!(error, Err(IssueError::NotPermitted(_))),
            "{permissions}"
        );
    }
    assert_eq!(revoked(&world, [&issued]), [false]);
}

#[test]
fn a_store_that_fails_ends_the_call_and_a_repeat_continues() {
    let world = world();
    let keys = [world.issue(), world.issue()];
    world.store.fail_changes(&[StoreErrorKind::Unavailable]);
    let failed = revoke_all(&world, &operator(), None);
    assert_eq!(kind(failed), StoreErrorKind::Unavailable);
    assert_eq!(revoke_all(&world, &operator(), None).unwrap(), 1);
    assert_eq!(revoked(&world, keys.each_ref()), [true; 2]);
}
