//! Records, credentials and times for the clauses, and an assertion on errors.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Actor, Environment, Event, EventId, EventKind, Key, KeyId, Name, Owner, Permissions, Reach,
    Timestamp, Workspace, base62,
    hash::{Credential, StoredHash, Tag},
    store::{Record, StoreError, StoreErrorKind},
};

/// The time that most calls pass to the store: 2024-03-01T10:00:00Z. A store that reads a clock
/// sees a different time.
pub(super) const NOW: i64 = 1_709_287_200_000;

/// The creation time of the first id. Each id is a millisecond newer than the previous one.
const FIRST_CREATED_AT: u64 = 1_709_200_000_000;

/// The number of ids created so far. All ids in a process differ, so that no part of the suite
/// finds the records of another part.
static ID_COUNT: AtomicU64 = AtomicU64::new(0);

/// Returns the time `millis` milliseconds after `NOW`.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW + millis).unwrap()
}

/// Returns `NOW` as a timestamp.
pub(super) fn now() -> Timestamp {
    at(0)
}

/// Creates an id that is newer than all previous ones. Without a `routing_tag` the tag is unique.
fn next_id(routing_tag: Option<&[u8]>) -> KeyId {
    let number = ID_COUNT.fetch_add(1, Ordering::Relaxed);
    let time: [u8; 8] = base62::encode(FIRST_CREATED_AT + number);
    let unique: [u8; 3] = base62::encode(number);
    let rest: [u8; 5] = base62::encode(number);
    KeyId::from_bytes(&[&time, routing_tag.unwrap_or(&unique), &rest].concat()).unwrap()
}

/// Creates an id that no record has, newer than all previous ids.
pub(super) fn unused_id() -> KeyId {
    next_id(None)
}

pub(super) fn workspace(text: &str) -> Workspace {
    Workspace::parse(text).unwrap()
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Creates a credential that is unique to this number.
pub(super) fn credential(number: u16) -> Credential {
    let salt = format!("AAECAwQFBgcICQ{number:04x}AAAQ");
    let hash = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let hash = StoredHash::parse(&format!("$hmac-sha256${salt}${hash}")).unwrap();
    let [high, low] = number.to_be_bytes();
    Credential::new(
        hash,
        Tag::from_bytes([high, low, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    )
}

/// Creates a live key in the workspace `acme`, newer than all previous keys.
pub(super) fn record(text: &str) -> Record {
    record_in("acme", text)
}

/// Creates a live key in the workspace `tenant`, newer than all previous keys.
pub(super) fn record_in(tenant: &str, text: &str) -> Record {
    let id = unused_id();
    let permissions: Permissions = "calls:read,calls:write".parse().unwrap();
    let key = Key::new(
        id,
        workspace(tenant),
        Environment::Live,
        name(text),
        permissions,
    );
    Record::new(key, credential(1))
}

/// Sets the time at which the key expires.
pub(super) fn expiring(mut record: Record, end: Timestamp) -> Record {
    record.key.expires_at = Some(end);
    record
}

/// Pauses the key.
pub(super) const fn disabled(mut record: Record) -> Record {
    record.key.enabled = false;
    record
}

/// Sets the owner of the key.
pub(super) fn owned(mut record: Record, owner: &str) -> Record {
    record.key.owner = Some(Owner::parse(owner).unwrap());
    record
}

/// Creates a child of `parent` that expires together with it.
pub(super) fn child_of(parent: &Record) -> Record {
    let mut child = record_in(parent.key.workspace.as_str(), "child");
    child.key.parent = Some(parent.key.id);
    child.key.expires_at = parent.key.expires_at;
    child
}

/// Creates a successor of `predecessor`, with a new id that has the same routing tag, like the
/// successors that the issuer creates.
pub(super) fn successor_of(predecessor: &Record) -> Record {
    let mut key = predecessor.key.clone();
    key.id = next_id(Some(predecessor.key.id.routing_tag()));
    key.successor = None;
    key.predecessor = Some(predecessor.key.id);
    key.rotated_by = None;
    key.imported = false;
    Record::new(key, credential(2))
}

/// Creates a successor of `predecessor` whose secret `caller` receives. It expires together with
/// the caller.
pub(super) fn received_by(caller: &Record, predecessor: &Record) -> Record {
    let mut successor = successor_of(predecessor);
    successor.key.rotated_by = Some(caller.key.id);
    successor.key.expires_at = caller.key.expires_at;
    successor
}

/// Creates the event of a change of this key, with an id that is newer than all previous ones.
pub(super) fn event(key: &Key, kind: EventKind) -> Event {
    let id = next_id(Some(key.id.routing_tag()));
    let id = EventId::from_bytes(id.as_bytes()).unwrap();
    Event::new(id, kind, key, Actor::System)
}

/// Returns the kind of the event of a revocation, before its keys are counted.
pub(super) const fn revoked(reach: Reach) -> EventKind {
    EventKind::Revoked {
        cascade: matches!(reach, Reach::Descendants),
        count: None,
    }
}

/// Returns the kind of the event of a rotation.
pub(super) const fn rotated(successor: &Record) -> EventKind {
    EventKind::Rotated {
        successor: successor.key.id,
    }
}

/// Returns a copy of the record that belongs to the workspace `tenant`.
pub(super) fn moved_to(tenant: &str, record: &Record) -> Record {
    let mut moved = record.clone();
    moved.key.workspace = workspace(tenant);
    moved
}

/// Returns a copy of the record with another version.
pub(super) fn in_version(version: u64, record: &Record) -> Record {
    Record {
        version,
        ..record.clone()
    }
}

/// Fails unless the store rejected a call with an error of this kind. `call` describes the call.
#[track_caller]
pub(super) fn assert_rejected<T: Debug>(
    result: Result<T, StoreError>,
    kind: StoreErrorKind,
    call: &str,
) {
    match result {
        Err(error) if error.kind() == kind => {}
        other => panic!("{call}: expected the error {kind:?}, but the store returned {other:?}"),
    }
}
