//! What comes between an issuer's look at a key and its change of it.

use std::time::Duration;

use keywright_core::{
    Expiry, IdempotencyKey, IssueError, IssueOutcome, Key, KeyId, NewKey, NewRotation, Rename,
    StoreErrorKind, Timestamp,
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

fn rename(world: &World, id: &KeyId) -> Result<Key, IssueError> {
    let rename = Rename::new(Some(name("mine")), None);
    block_on(world.keys.issuer().rename(&operator(), id, &rename))
}

/// Has a key renamed by another, right after each of the next looks at it.
fn disturb(world: &World, id: KeyId, times: u32) {
    let other = world.clone();
    world.store.after_find(move || {
        other.rename(&id, &format!("theirs {times}"));
        if times > 1 {
            disturb(&other, id, times - 1);
        }
    });
}

fn is_conflict<T>(outcome: &Result<T, IssueError>) -> bool {
    matches!(outcome, Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Conflict)
}

#[test]
fn a_key_that_is_revoked_meanwhile_is_gone() {
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
fn of_two_rotations_at_once_one_is_done() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || {
        other.rotate(&id).unwrap();
    });
    assert!(matches!(world.rotate(&id), Err(IssueError::NotRotatable)));
}

#[test]
fn a_key_that_others_rename_is_changed_all_the_same_unless_they_do_not_cease() {
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
    let rotation = NewRotation::new().with_overlap(Duration::ZERO);
    let issuer = world.keys.issuer();
    block_on(issuer.rotate_once(&operator(), id, &rotation, &once, b"body"))
}

/// Two requests with one idempotency key, of which one rotates between the other's look for the
/// successor and its own attempt, to which the store says this.
fn overtaken(answer: Option<StoreErrorKind>) -> Result<IssueOutcome, IssueError> {
    let world = World::new();
    let id = world.issue().key.id;
    // An earlier one binds the id of the successor, and ends before it has rotated.
    world.store.answer_with(&[StoreErrorKind::Unavailable]);
    assert!(rotate_once(&world, &id).is_err());
    let other = world.clone();
    // After the look at the key, and then after the one for the successor.
    world.store.after_find(move || {
        let overtaking = other.clone();
        other.store.after_find(move || {
            let rotated = rotate_once(&overtaking, &id);
            assert!(matches!(rotated, Ok(IssueOutcome::Issued(_))));
            overtaking.store.answer_with(answer.as_slice());
        });
    });
    rotate_once(&world, &id)
}

#[test]
fn a_repeat_that_another_one_overtakes_is_told_of_the_successor() {
    for answer in [None, Some(StoreErrorKind::AlreadyExists)] {
        let told = overtaken(answer);
        assert!(matches!(told, Ok(IssueOutcome::Replayed(_))), "{answer:?}");
    }
    // What became of it is not known then.
    let failed = overtaken(Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(failed), StoreErrorKind::Unavailable);
}

#[test]
fn what_a_store_says_against_a_rotation_is_told_and_not_tried_again() {
    let world = World::new();
    let id = world.issue().key.id;
    for answer in [StoreErrorKind::Unavailable, StoreErrorKind::AlreadyExists] {
        world.store.answer_with(&[answer]);
        assert_eq!(kind(world.rotate(&id)), answer);
    }
    // Nothing holds the id that is taken.
    world.store.answer_with(&[StoreErrorKind::AlreadyExists]);
    let told = kind(rotate_once(&world, &id));
    assert_eq!(told, StoreErrorKind::AlreadyExists);
}

#[test]
fn what_cannot_be_rotated_is_refused_before_a_secret_is_drawn_for_it() {
    let world = World::new();
    let rotated = world.issue().key.id;
    world.rotate(&rotated).unwrap();
    let end = world.clock.millis() + 1;
    let brief =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let expired = world.issue_new(brief).key.id;
    world.clock.turn(1);
    for id in [rotated, expired] {
        let refused = || {
            let refused = world.rotate(&id);
            assert!(matches!(refused, Err(IssueError::NotRotatable)));
        };
        assert_eq!(world.cost(refused).1, 0);
    }
}
