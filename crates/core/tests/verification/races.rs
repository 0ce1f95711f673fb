//! What comes between an issuer's look at a key and its change of it.

use keywright_core::{IssueError, Issued, Key, KeyId, NewRotation, Rename, StoreErrorKind};
use pollster::block_on;

use crate::world::{World, name, operator};

fn rotate(world: &World, id: &KeyId) -> Result<Issued, IssueError> {
    let rotation = NewRotation::new();
    block_on(world.keys.issuer().rotate(&operator(), id, &rotation))
}

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
    assert!(matches!(rotate(&world, &id), Err(IssueError::NotFound)));
}

#[test]
fn of_two_rotations_at_once_one_is_done() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || {
        rotate(&other, &id).unwrap();
    });
    assert!(matches!(rotate(&world, &id), Err(IssueError::NotRotatable)));
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
        let rotated = rotate(&world, &id);
        assert_eq!(rotated.is_ok(), done, "{times}");
        assert_eq!(is_conflict(&rotated), !done, "{times}");
        if let Ok(issued) = rotated {
            assert_eq!(issued.key.name, name("theirs 1"));
        }
    }
}
