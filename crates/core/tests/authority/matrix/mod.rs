//! The permission matrix: each operation, by each kind of caller, on each kind of key.

mod keys;
mod world;

use std::iter;

use futures_executor::block_on;
use keywright_core::{
    Action, Caller, Introspection, IntrospectionRequest, IssueError, Key, KeyId, KeyUpdate,
    ListKeys, ListStart, NewKey, NewRotation, Permissions, Reach, Token, testing,
};

use self::{
    keys::{ENVIRONMENTS, TARGET_PERMISSIONS, callers, descendant, key, now, owner, targets},
    world::{OPERATIONS, Operation, Outcome, World},
};
use crate::oracle::{
    Right, covers, has_some, is_expired, is_itself, reaches, rotates_itself, sees,
};

/// Returns the expected outcome of an operation on one key.
fn expected(operation: Operation, caller: &Caller, key: &Key) -> Outcome {
    let right = match operation {
        Operation::Find => Right::Read,
        _ => Right::Write,
    };
    let itself = is_itself(caller, key)
        && match operation {
            Operation::Find | Operation::Revoke | Operation::Cascade => true,
            Operation::Rotate => rotates_itself(caller, key),
            Operation::Update => false,
        };
    if !itself && !has_some(caller, right) {
        return Outcome::Forbidden;
    }
    if !itself && !reaches(caller, right, key) {
        return Outcome::NotFound;
    }
    let is_revoked = key.revoked_at.is_some();
    let is_expired = is_expired(key, now());
    match operation {
        Operation::Find => Outcome::Done,
        Operation::Update | Operation::Rotate if is_revoked => Outcome::NotFound,
        _ if !itself && !covers(caller, key) => Outcome::Forbidden,
        Operation::Update if is_expired => Outcome::Conflict,
        Operation::Rotate if is_expired || !key.enabled || key.successor.is_some() => {
            Outcome::Conflict
        }
        Operation::Revoke if is_revoked => Outcome::NotFound,
        // Each target has a descendant that is active, so that a cascade always changes something.
        Operation::Update | Operation::Rotate | Operation::Revoke | Operation::Cascade => {
            Outcome::Done
        }
    }
}

/// Returns the operation as the right that [`Issuer::authorize`](keywright_core::Issuer::authorize)
/// checks.
const fn action(operation: Operation) -> Action {
    match operation {
        Operation::Find => Action::Find,
        Operation::Update => Action::Update,
        Operation::Rotate => Action::Rotate,
        Operation::Revoke | Operation::Cascade => Action::Revoke,
    }
}

#[test]
fn each_caller_finds_changes_rotates_and_revokes_exactly_the_keys_that_it_may() {
    let targets = targets();
    let mut cases = 0;
    for (caller, itself) in callers() {
        let all = targets.iter().chain(&itself);
        let descendants: Vec<_> = all.clone().map(descendant).collect();
        for operation in OPERATIONS {
            let world = World::with(all.clone().chain(&descendants));
            // The caller's own key last, because a caller that revoked it can do nothing more.
            for target in all.clone() {
                let expected = expected(operation, &caller, target);
                let authorized =
                    world
                        .keys
                        .issuer()
                        .authorize(&caller, action(operation), Some(&target.id));
                let outcome = world.perform(operation, &caller, target);
                assert_eq!(
                    outcome, expected,
                    "{operation:?} of {target:?} by {caller:?}"
                );
                // An operation that some key permits is permitted before the key is read.
                assert!(authorized.is_ok() || outcome == Outcome::Forbidden);
                cases += 1;
            }
        }
    }
    // 208 callers, 5 operations on 180 keys, and on the callers' own keys.
    assert_eq!(cases, 208 * 5 * 180 + 104 * 5);
}

/// Returns the expected result of an introspection, or `None` if it is forbidden.
fn expected_introspection(caller: &Caller, key: &Key) -> Option<Introspection> {
    if !has_some(caller, Right::Verify) {
        return None;
    }
    Some(if !reaches(caller, Right::Verify, key) {
        Introspection::NotFound
    } else if key.revoked_at.is_some() {
        Introspection::Revoked
    } else if is_expired(key, now()) {
        Introspection::Expired
    } else if !key.enabled {
        Introspection::Disabled
    } else {
        let mut used = key.clone();
        used.last_used_at = Some(now());
        Introspection::Valid(used)
    })
}

#[test]
fn each_caller_introspects_exactly_the_tokens_that_it_may() {
    let targets = targets();
    let mut cases = 0;
    for (caller, itself) in callers() {
        let world = World::new();
        let all = targets.iter().chain(&itself);
        let inserted: Vec<(&Key, Token)> = all
            .map(|key| {
                (
                    key,
                    block_on(testing::insert(&world.keys, key.clone())).unwrap(),
                )
            })
            .collect();
        for (target, token) in inserted {
            let introspected = block_on(world.keys.issuer().introspect(
                &caller,
                token.expose().as_bytes(),
                &IntrospectionRequest::new(),
            ));
            let expected = expected_introspection(&caller, target);
            match introspected {
                Ok(introspection) => assert_eq!(Some(introspection), expected),
                Err(IssueError::NotPermitted(_)) => assert_eq!(None, expected),
                Err(other) => panic!("{other}"),
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 208 * 180 + 104);
}

#[test]
fn each_caller_creates_exactly_the_keys_that_it_may() {
    let mut cases = 0;
    for (caller, itself) in callers() {
        let world = World::with(&itself);
        for environment in ENVIRONMENTS {
            for permissions in TARGET_PERMISSIONS {
                let permissions: Permissions = permissions.parse().unwrap();
                let wanted = key(0, "acme", environment, permissions.clone());
                let expected = if !has_some(&caller, Right::Write) {
                    Outcome::Forbidden
                } else if !sees(caller.environment(), environment) {
                    Outcome::Environment
                } else if !covers(&caller, &wanted) {
                    Outcome::Forbidden
                } else {
                    Outcome::Done
                };
                let new = NewKey::new(wanted.name.clone())
                    .with_permissions(permissions)
                    .with_environment(environment);
                let created = block_on(world.keys.issuer().create(&caller, new));
                assert_eq!(Outcome::of(&created), expected, "{wanted:?} by {caller:?}");
                if let Ok(issued) = created {
                    let mut expected = wanted;
                    expected.id = issued.key.id;
                    expected.owner = caller.owner().cloned();
                    expected.attributes = caller.attributes().cloned();
                    expected.parent = caller.key().copied();
                    assert_eq!(issued.key, expected);
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 208 * 6);
}

/// Returns the ids on all pages of a list.
fn listed(world: &World, caller: &Caller) -> Result<Vec<KeyId>, IssueError> {
    let mut list = ListKeys::new().with_limit(ListKeys::MAX_LIMIT);
    let mut ids = Vec::new();
    loop {
        let page = block_on(world.keys.issuer().list(caller, list.clone()))?;
        ids.extend(page.keys.iter().map(|key| key.id));
        match page.next {
            Some(cursor) => list.start = ListStart::After(cursor),
            None => return Ok(ids),
        }
    }
}

#[test]
fn each_caller_lists_exactly_the_keys_that_it_may_read() {
    let targets = targets();
    for (caller, itself) in callers() {
        let all = targets.iter().chain(&itself);
        let world = World::with(all.clone());
        let ids = listed(&world, &caller);
        if !has_some(&caller, Right::Read) {
            assert_eq!(Outcome::of(&ids), Outcome::Forbidden, "{caller:?}");
            continue;
        }
        let readable = all.filter(|key| reaches(&caller, Right::Read, key));
        let mut expected: Vec<_> = readable.map(|key| key.id).collect();
        expected.reverse();
        assert_eq!(ids.unwrap(), expected, "{caller:?}");
    }
}

#[test]
fn each_caller_revokes_together_exactly_the_keys_that_it_may() {
    let targets = targets();
    let mut cases = 0;
    for (caller, itself) in callers() {
        for filter in [None, Some("alice"), Some("bob")] {
            let filter = filter.map(owner);
            let all = targets.iter().chain(&itself);
            let world = World::with(all.clone());
            let result = block_on(world.keys.issuer().revoke_all(&caller, filter.as_ref()));
            let permitted = has_some(&caller, Right::Read) && has_some(&caller, Right::Write);
            let reached = |key: &Key| {
                permitted
                    && [Right::Read, Right::Write]
                        .iter()
                        .all(|right| reaches(&caller, *right, key))
                    && (filter.is_none() || filter == key.owner)
                    && key.revoked_at.is_none()
            };
            let may_revoke = |key: &Key| is_itself(&caller, key) || covers(&caller, key);
            let mut count = 0;
            for key in all.clone() {
                let revoked = reached(key) && may_revoke(key);
                count += u64::from(revoked);
                let now_revoked = world.read(&key.id).key.revoked_at;
                let expected = if revoked { Some(now()) } else { key.revoked_at };
                assert_eq!(now_revoked, expected, "{key:?} by {caller:?}");
            }
            let exceeds = all.clone().any(|key| reached(key) && !may_revoke(key));
            match result {
                Ok(revoked) => assert_eq!((revoked, permitted, exceeds), (count, true, false)),
                Err(IssueError::NotPermitted(_)) => assert!(!permitted || exceeds, "{caller:?}"),
                Err(other) => panic!("{other}: {caller:?}"),
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 208 * 3);
}

#[test]
fn a_caller_whose_key_is_not_active_can_do_nothing() {
    let ends: [fn(&mut Key); 3] = [
        |key| key.revoked_at = Some(now()),
        |key| key.expires_at = Some(now()),
        |key| key.enabled = false,
    ];
    let keys = callers().into_iter().filter_map(|(_, key)| key);
    for (key, end) in keys.flat_map(|key| iter::repeat(key).zip(ends)) {
        // The key has ended since the caller was verified.
        let caller = Caller::from(&key);
        let mut ended = key;
        end(&mut ended);
        let target = targets().swap_remove(0);
        let issuer = World::with([&ended, &target]).keys.issuer().clone();
        let id = &target.id;
        let outcomes = [
            Outcome::of(&block_on(issuer.find(&caller, id))),
            Outcome::of(&block_on(issuer.find(&caller, &ended.id))),
            Outcome::of(&block_on(issuer.update(&caller, id, &KeyUpdate::new()))),
            Outcome::of(&block_on(issuer.rotate(&caller, id, &NewRotation::new()))),
            Outcome::of(&block_on(issuer.rotate(
                &caller,
                &ended.id,
                &NewRotation::new(),
            ))),
            Outcome::of(&block_on(issuer.revoke(&caller, id, Reach::Key))),
            Outcome::of(&block_on(issuer.revoke(
                &caller,
                &ended.id,
                Reach::Descendants,
            ))),
            Outcome::of(&block_on(
                issuer.create(&caller, NewKey::new(target.name.clone())),
            )),
            Outcome::of(&block_on(issuer.list(&caller, ListKeys::new()))),
            Outcome::of(&block_on(issuer.revoke_all(&caller, None))),
            Outcome::of(&block_on(issuer.introspect(
                &caller,
                b"",
                &IntrospectionRequest::new(),
            ))),
        ];
        assert_eq!(outcomes, [Outcome::Inactive; 11], "{ended:?}");
    }
}
