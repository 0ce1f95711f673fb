//! Changes by others between an issuer's read of a key and its own change.

use std::time::Duration;

use keywright_core::{
    Expiry, IdempotencyKey, IssueError, IssueOutcome, Key, KeyId, KeyUpdate, NewKey, NewRotation,
    Timestamp, store::StoreErrorKind,
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

fn rename(world: &World, id: &KeyId) -> Result<Key, IssueError> {
    let rename = KeyUpdate::new().with_name(name("mine"));
    Ok(world.update(id, &rename)?.key)
}

/// Renames a key right after each of the next `times` reads.
fn disturb(world: &World, id: KeyId, times: u32) {
    let other = world.clone();
    world.store.after_find(move || {
        other.rename(&id, &format!("theirs {times}"));
        if times > 1 {
            disturb(&other, id, times - 1);
        }
    });
}

fn is_conflict<T>(result: &Result<T, IssueError>) -> bool {
    matches!(result, Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Conflict)
}

#[test]
fn a_key_that_is_revoked_in_the_meantime_is_not_found() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || other.revoke(&id));
    assert!(matches!(rename(&world, &id), Err(IssueError::NotFound)));

    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || other.revoke(&id));
    assert!(matches!(world.rotate(&id), Err(IssueError::NotFound)));
}

#[test]
fn one_of_two_concurrent_rotations_succeeds() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || {
        other.rotate(&id).unwrap();
    });
    assert!(matches!(world.rotate(&id), Err(IssueError::NotRotatable)));
}

#[test]
fn a_change_is_retried_up_to_four_times_if_others_rename_the_key() {
    let world = World::new();
    for (times, done) in [(1, true), (4, true), (5, false)] {
        let id = world.issue().key.id;
        disturb(&world, id, times);
        let renamed = rename(&world, &id);
        assert_eq!(renamed.is_ok(), done, "{times}");
        assert_eq!(is_conflict(&renamed), !done, "{times}");

        let id = world.issue().key.id;
        disturb(&world, id, times);
        let rotated = world.rotate(&id);
        assert_eq!(rotated.is_ok(), done, "{times}");
        assert_eq!(is_conflict(&rotated), !done, "{times}");
        if let Ok(issued) = rotated {
            assert_eq!(issued.key.name, name("theirs 1"));
        }
    }
}

fn rotate_once(world: &World, id: &KeyId) -> Result<IssueOutcome, IssueError> {
    let once = IdempotencyKey::parse("once").unwrap();
    let mut rotation = NewRotation::new();
    rotation.overlap = Duration::ZERO;
    let issuer = world.keys.issuer();
    block_on(issuer.rotate_once(&operator(), id, &rotation, &once, b"body"))
}

/// Sends two requests with one idempotency key. The second rotates the key after the first has
/// looked for a successor, and then the attempt of the first fails with `error`.
fn overtaken(error: Option<StoreErrorKind>) -> Result<IssueOutcome, IssueError> {
    let world = World::new();
    let id = world.issue().key.id;
    // An earlier request has reserved the id of the successor, and failed to rotate.
    world.store.fail_inserts(&[StoreErrorKind::Unavailable]);
    assert!(rotate_once(&world, &id).is_err());
    let other = world.clone();
    // After the read of the key, and then after the read of the successor.
    world.store.after_find(move || {
        let overtaking = other.clone();
        other.store.after_find(move || {
            let rotated = rotate_once(&overtaking, &id);
            assert!(matches!(rotated, Ok(IssueOutcome::Issued(_))));
            overtaking.store.fail_inserts(error.as_slice());
        });
    });
    rotate_once(&world, &id)
}

#[test]
fn a_request_that_is_overtaken_by_its_repetition_returns_the_successor() {
    for error in [None, Some(StoreErrorKind::AlreadyExists)] {
        let outcome = overtaken(error);
        assert!(
            matches!(outcome, Ok(IssueOutcome::Replayed(_))),
            "{error:?}"
        );
    }
    // With another error, the outcome of the rotation is unknown.
    let failed = overtaken(Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(failed), StoreErrorKind::Unavailable);
}

#[test]
fn a_store_error_in_a_rotation_is_returned_without_a_retry() {
    let world = World::new();
    let id = world.issue().key.id;
    for error in [StoreErrorKind::Unavailable, StoreErrorKind::AlreadyExists] {
        world.store.fail_inserts(&[error]);
        assert_eq!(kind(world.rotate(&id)), error);
    }
    // The same if the id is reported as taken, but no key has it.
    world.store.fail_inserts(&[StoreErrorKind::AlreadyExists]);
    let error = kind(rotate_once(&world, &id));
    assert_eq!(error, StoreErrorKind::AlreadyExists);
}

#[test]
fn a_key_that_cannot_be_rotated_is_rejected_before_a_secret_is_hashed() {
    let world = World::new();
    let rotated = world.issue().key.id;
    world.rotate(&rotated).unwrap();
    let mut brief = NewKey::new(name("brief"));
    let end = world.clock.millis() + 1;
    brief.expiry = Expiry::At(Timestamp::from_millis(end).unwrap());
    let expired = world.issue_new(brief).key.id;
    world.clock.adjust(1);
    for id in [rotated, expired] {
        let rotate = || {
            let rejected = world.rotate(&id);
            assert!(matches!(rejected, Err(IssueError::NotRotatable)));
        };
        assert_eq!(world.cost(rotate).1, 0);
    }
}
