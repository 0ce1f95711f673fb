//! Keys that act on themselves, members who manage their own keys, and callers that are narrowed
//! after they were verified.

use std::time::Duration;

use keywright_core::{
    Caller, IdempotencyKey, IssueError, IssueOutcome, Issued, KeyId, KeyUpdate, ListKeys, NewKey,
    NewRotation, Owner, Reach, Workspace, store::StoreErrorKind,
};
use pollster::block_on;

use crate::world::{World, name, operator};

fn once() -> IdempotencyKey {
    IdempotencyKey::parse("once").unwrap()
}

/// Returns a member of the workspace, who manages the member's own keys.
fn member(owner: &str) -> Caller {
    let permissions = "api_keys.own:*,calls:read".parse().unwrap();
    Caller::new(Workspace::parse("acme").unwrap(), permissions)
        .with_owner(Owner::parse(owner).unwrap())
}

fn issue_with(world: &World, permissions: &str) -> Issued {
    world.issue_new(NewKey::new(name("n")).with_permissions(permissions.parse().unwrap()))
}

/// Returns the id of the key, and whether the request was a repeat.
fn outcome(outcome: Result<IssueOutcome, IssueError>) -> (KeyId, bool) {
    match outcome {
        Ok(IssueOutcome::Issued(issued)) => (issued.key.id, false),
        Ok(IssueOutcome::Replayed(key)) => (key.id, true),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_key_without_permissions_finds_and_revokes_itself_and_no_other() {
    let world = World::new();
    let (issued, other) = (issue_with(&world, ""), issue_with(&world, ""));
    let caller = world.verify(&issued.token).unwrap().caller();
    let issuer = world.keys.issuer();
    let (own, others) = (&issued.key.id, &other.key.id);
    assert_eq!(block_on(issuer.find(&caller, own)).unwrap().key.id, *own);
    let rejected = [
        block_on(issuer.find(&caller, others)).err(),
        block_on(issuer.revoke(&caller, others, Reach::Key)).err(),
        block_on(issuer.list(&caller, ListKeys::new())).err(),
        block_on(issuer.update(&caller, own, &KeyUpdate::new())).err(),
        block_on(issuer.rotate(&caller, own, &NewRotation::new())).err(),
    ];
    for error in rejected {
        assert!(
            matches!(error, Some(IssueError::NotPermitted(_))),
            "{error:?}"
        );
    }
    assert_eq!(
        block_on(issuer.revoke(&caller, own, Reach::Key))
            .unwrap()
            .count,
        1
    );
    assert_eq!(world.find(others).revoked_at, None);
}

#[test]
fn a_key_rotates_itself_with_the_permission_and_no_other_key() {
    let world = World::new();
    let permissions = "api_keys.self:rotate,calls:read";
    let (issued, other) = (issue_with(&world, permissions), issue_with(&world, ""));
    let caller = world.verify(&issued.token).unwrap().caller();
    let issuer = world.keys.issuer();
    let rejected = block_on(issuer.rotate(&caller, &other.key.id, &NewRotation::new()));
    assert!(matches!(
        rejected.map(drop),
        Err(IssueError::NotPermitted(_))
    ));
    let rotated = block_on(issuer.rotate(&caller, &issued.key.id, &NewRotation::new())).unwrap();
    let key = &rotated.key;
    assert_eq!(
        (key.predecessor, key.rotated_by),
        (Some(issued.key.id), Some(issued.key.id))
    );
    assert_eq!(key.permissions, issued.key.permissions);
    // The successor can rotate itself as well.
    let caller = world.verify(&rotated.token).unwrap().caller();
    block_on(issuer.rotate(&caller, &rotated.key.id, &NewRotation::new())).unwrap();
}

#[test]
fn a_repeated_rotation_of_the_calling_key_returns_the_successor() {
    let world = World::new();
    let issued = issue_with(&world, "api_keys.self:rotate");
    let (caller, id) = (
        world.verify(&issued.token).unwrap().caller(),
        &issued.key.id,
    );
    let issuer = world.keys.issuer();
    let rotation = NewRotation::new().with_overlap(Duration::from_secs(10));
    let rotate = || {
        outcome(block_on(issuer.rotate_once(
            &caller,
            id,
            &rotation,
            &once(),
            b"",
        )))
    };
    let (successor, replayed) = rotate();
    assert!(!replayed);
    assert_eq!(rotate(), (successor, true));
    assert_eq!(world.find(id).successor, Some(successor));
}

#[test]
fn a_member_repeats_requests_for_its_own_keys() {
    let world = World::new();
    let issuer = world.keys.issuer();
    let alice = member("alice");
    let create = |caller: &Caller| {
        let new = NewKey::new(name("n"));
        outcome(block_on(issuer.create_once(caller, new, &once(), b"body")))
    };
    let (id, replayed) = create(&alice);
    assert!(!replayed);
    assert_eq!(create(&alice), (id, true));
    let rotation = NewRotation::new();
    let rotate = || {
        outcome(block_on(issuer.rotate_once(
            &alice,
            &id,
            &rotation,
            &once(),
            b"",
        )))
    };
    let (successor, replayed) = rotate();
    assert!(!replayed);
    assert_eq!(rotate(), (successor, true));
}

#[test]
fn members_with_equal_permissions_do_not_share_idempotency_keys() {
    let world = World::new();
    let issuer = world.keys.issuer();
    let create = |caller: &Caller, body: &[u8]| {
        let new = NewKey::new(name("n"));
        outcome(block_on(issuer.create_once(caller, new, &once(), body)))
    };
    let (alices, _) = create(&member("alice"), b"body");
    let (bobs, replayed) = create(&member("bob"), b"body");
    assert!(bobs != alices && !replayed);
    // Another body is a mismatch only for the member who has used the idempotency key.
    let (carols, replayed) = create(&member("carol"), b"another body");
    assert!(carols != alices && !replayed);
    assert_eq!(world.find(&carols).owner, member("carol").owner().cloned());
}

#[test]
fn a_member_sees_and_changes_no_key_of_another_member() {
    let world = World::new();
    let issuer = world.keys.issuer();
    let issue = |caller: &Caller| block_on(issuer.create(caller, NewKey::new(name("n")))).unwrap();
    let (alice, bob) = (member("alice"), member("bob"));
    let (alices, bobs) = (issue(&alice), issue(&bob));
    // A key of a member is as limited as the member.
    let key_of_alice = world.verify(&alices.token).unwrap().caller();
    for caller in [&alice, &key_of_alice] {
        let listed = block_on(issuer.list(caller, ListKeys::new())).unwrap();
        let ids: Vec<_> = listed.keys.iter().map(|key| key.id).collect();
        assert_eq!((ids, listed.total), (vec![alices.key.id], Some(1)));
        let of_bob = ListKeys::new().with_owner(Owner::parse("bob").unwrap());
        let listed = block_on(issuer.list(caller, of_bob)).unwrap();
        assert_eq!(
            (listed.keys, listed.next, listed.total),
            (Vec::new(), None, Some(0))
        );
        let id = &bobs.key.id;
        let rejected = [
            block_on(issuer.find(caller, id)).err(),
            block_on(issuer.update(caller, id, &KeyUpdate::new())).err(),
            block_on(issuer.rotate(caller, id, &NewRotation::new())).err(),
            block_on(issuer.revoke(caller, id, Reach::Descendants)).err(),
        ];
        for error in rejected {
            assert!(matches!(error, Some(IssueError::NotFound)), "{error:?}");
        }
    }
}

#[test]
fn a_caller_that_is_narrowed_after_its_verification_grants_what_it_has_now() {
    let world = World::new();
    let issued = issue_with(&world, "api_keys:write,calls:*");
    let caller = world
        .verify_from(&issued.token, "10.1.0.1")
        .unwrap()
        .caller();
    let narrow = KeyUpdate::new()
        .with_permissions("api_keys:write,calls:read".parse().unwrap())
        .with_allowed_ips("10.0.0.0/8".parse().unwrap());
    world.update(&issued.key.id, &narrow).unwrap();

    let create = |new: NewKey| block_on(world.keys.issuer().create(&caller, new));
    let child = create(NewKey::new(name("n"))).unwrap().key;
    assert_eq!(child.permissions.to_string(), "api_keys:write,calls:read");
    assert_eq!(child.allowed_ips.unwrap().to_string(), "10.0.0.0/8");
    let wide = NewKey::new(name("n")).with_permissions("calls:*".parse().unwrap());
    assert!(matches!(
        create(wide).map(drop),
        Err(IssueError::NotPermitted(_))
    ));
    let wide = NewKey::new(name("n")).with_allowed_ips("11.0.0.1".parse().unwrap());
    assert!(matches!(
        create(wide).map(drop),
        Err(IssueError::AddressesBeyondCaller)
    ));
    // The host may have restricted the caller further than its key.
    let restricted = caller
        .clone()
        .with_allowed_ips("10.1.0.0/16".parse().unwrap());
    let new = NewKey::new(name("n"));
    let child = block_on(world.keys.issuer().create(&restricted, new))
        .unwrap()
        .key;
    assert_eq!(child.allowed_ips.unwrap().to_string(), "10.1.0.0/16");

    // A caller without the permission for an operation can no longer do it.
    let powerless = KeyUpdate::new().with_permissions("calls:read".parse().unwrap());
    world.update(&issued.key.id, &powerless).unwrap();
    let rejected = create(NewKey::new(name("n"))).map(drop);
    assert!(matches!(rejected, Err(IssueError::NotPermitted(_))));
    let rejected = block_on(world.keys.issuer().revoke_all(&caller, None));
    assert!(matches!(rejected, Err(IssueError::NotPermitted(_))));
}

/// Narrows the caller's key to these permissions right before the next insertion or rotation, which
/// the store rejects because of that.
fn narrow_before_insert(world: &World, id: KeyId, permissions: &str) {
    let other = world.clone();
    let narrow = KeyUpdate::new().with_permissions(permissions.parse().unwrap());
    world.store.fail_inserts(&[StoreErrorKind::Conflict]);
    world.store.before_insert(move || {
        other.update(&id, &narrow).unwrap();
    });
}

#[test]
fn a_caller_that_is_narrowed_during_a_creation_or_a_rotation_receives_nothing_more() {
    let world = World::new();
    let target = issue_with(&world, "calls:read").key.id;
    // Without the permissions of the key, and without the permission for the operation.
    for left in ["api_keys:write", "calls:*"] {
        let issued = issue_with(&world, "api_keys:write,calls:*");
        let caller = world.verify(&issued.token).unwrap().caller();
        let issuer = world.keys.issuer();
        narrow_before_insert(&world, issued.key.id, left);
        let new = NewKey::new(name("n")).with_permissions("calls:read".parse().unwrap());
        let rejected = block_on(issuer.create(&caller, new)).map(drop);
        assert!(
            matches!(rejected, Err(IssueError::NotPermitted(_))),
            "{left}"
        );

        let restored = KeyUpdate::new().with_permissions(issued.key.permissions.clone());
        world.update(&issued.key.id, &restored).unwrap();
        narrow_before_insert(&world, issued.key.id, left);
        let rejected = block_on(issuer.rotate(&caller, &target, &NewRotation::new())).map(drop);
        assert!(
            matches!(rejected, Err(IssueError::NotPermitted(_))),
            "{left}"
        );
    }
    // The target, and the two callers.
    let listed = block_on(world.keys.issuer().list(&operator(), ListKeys::new())).unwrap();
    assert_eq!(listed.total, Some(3));
}
