//! A library over a store with the keys of the matrix, and operations on one of them.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, IssueError, Key, KeyId, KeyUpdate, Keywright, MemoryStore, Name, NewRotation,
    Prefix, Reach, Scheme,
    store::{Credential, KeyStore, Record, StoredHash, Tag},
    testing::ManualClock,
};

use super::keys::{descendant, now};

/// An operation on one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Find,
    Update,
    Rotate,
    Revoke,
    Cascade,
}

pub(super) const OPERATIONS: [Operation; 5] = [
    Operation::Find,
    Operation::Update,
    Operation::Rotate,
    Operation::Revoke,
    Operation::Cascade,
];

/// The outcome of an operation, as a client of the HTTP API distinguishes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Done,
    Forbidden,
    NotFound,
    /// The state of the key does not allow the operation.
    Conflict,
    /// A test caller asked for a live key.
    Environment,
    /// The caller's key is not active.
    Inactive,
}

impl Outcome {
    pub(super) fn of<T>(result: &Result<T, IssueError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(IssueError::NotPermitted(_)) => Self::Forbidden,
            Err(IssueError::NotFound) => Self::NotFound,
            Err(IssueError::Expired | IssueError::NotRotatable) => Self::Conflict,
            Err(IssueError::Environment) => Self::Environment,
            Err(IssueError::CallerInactive) => Self::Inactive,
            Err(other) => panic!("{other}"),
        }
    }
}

/// A library whose store has the targets, and the caller's key if it has one.
pub(super) struct World {
    pub(super) keys: Keywright,
    pub(super) store: Arc<MemoryStore>,
}

impl World {
    pub(super) fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_clock(ManualClock::new(now()));
        let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
        Self { keys, store }
    }

    /// Creates a world with keys that have no tokens.
    pub(super) fn with<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Self {
        const HASH: &str =
            "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let credential = Credential::new(
            StoredHash::parse(HASH).unwrap(),
            Tag::from_bytes([0; Tag::LENGTH]),
        );
        let world = Self::new();
        for key in keys {
            let record = Record::new(key.clone(), credential.clone());
            block_on(world.store.insert(&record, now(), None)).unwrap();
        }
        world
    }

    pub(super) fn read(&self, id: &KeyId) -> Record {
        block_on(self.store.find(id)).unwrap().unwrap()
    }

    /// Performs an operation, and checks its effect.
    pub(super) fn perform(&self, operation: Operation, caller: &Caller, target: &Key) -> Outcome {
        let issuer = self.keys.issuer();
        let before = self.read(&target.id);
        let mut after = before.clone();
        let outcome = match operation {
            Operation::Find => {
                let found = block_on(issuer.find(caller, &target.id));
                if let Ok(found) = &found {
                    assert_eq!((&found.key, found.version), (target, before.version));
                }
                Outcome::of(&found)
            }
            Operation::Update => {
                let name = Name::parse("updated").unwrap();
                let update = KeyUpdate::new().with_name(name.clone());
                let updated = block_on(issuer.update(caller, &target.id, &update));
                if let Ok(updated) = &updated {
                    after.key.name = name;
                    after.version += 1;
                    assert_eq!((&updated.key, updated.version), (&after.key, after.version));
                }
                Outcome::of(&updated)
            }
            Operation::Rotate => {
                let rotation = NewRotation::new().with_overlap(Duration::ZERO);
                let rotated = block_on(issuer.rotate(caller, &target.id, &rotation));
                if let Ok(rotated) = &rotated {
                    after.key.successor = Some(rotated.key.id);
                    after.key.revoked_at = Some(now());
                    after.version += 1;
                    let mut expected = target.clone();
                    expected.id = rotated.key.id;
                    expected.predecessor = Some(target.id);
                    expected.rotated_by = caller.key().copied();
                    assert_eq!(rotated.key, expected);
                    assert_eq!(self.read(&expected.id).key, expected);
                }
                Outcome::of(&rotated)
            }
            Operation::Revoke | Operation::Cascade => {
                let (reach, count) = match operation {
                    Operation::Revoke => (Reach::Key, 1),
                    _ => (
                        Reach::Descendants,
                        1 + u64::from(target.revoked_at.is_none()),
                    ),
                };
                let revoked = block_on(issuer.revoke(caller, &target.id, reach));
                if let Ok(revocation) = &revoked {
                    assert_eq!(revocation.count, count);
                    if target.revoked_at.is_none() {
                        after.key.revoked_at = Some(now());
                        after.version += 1;
                    }
                }
                Outcome::of(&revoked)
            }
        };
        assert_eq!(self.read(&target.id), after);
        let cascaded = operation == Operation::Cascade && outcome == Outcome::Done;
        let descendant = self.read(&descendant(target).id).key;
        assert_eq!(descendant.revoked_at.is_some(), cascaded);
        outcome
    }
}
