//! What the clauses are tried with: records, and the times around them.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    Credential, Environment, Key, KeyId, Name, Permissions, Record, StoreError, StoreErrorKind,
    StoredHash, Tag, Timestamp, Workspace, base62,
};

/// The time at which nearly all happens: 2024-03-01T10:00:00Z. A store that reads a clock of its own
/// reads something else.
pub(super) const NOW: i64 = 1_709_287_200_000;

/// When the first record is made; each that follows is a millisecond younger.
const CREATED: u64 = 1_709_200_000_000;

/// How many ids were made. All records of a process differ, so that no part of the suite meets those
/// of another part.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The time that many milliseconds after `NOW`.
pub(super) fn at(after: i64) -> Timestamp {
    Timestamp::from_millis(NOW + after).unwrap()
}

/// The time `NOW`.
pub(super) fn now() -> Timestamp {
    at(0)
}

/// An id that is newer than all before, with this routing tag or else one of its own.
fn next_id(routing_tag: Option<&[u8]>) -> KeyId {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let time: [u8; 8] = base62::encode(CREATED + number);
    let own: [u8; 3] = base62::encode(number);
    let rest: [u8; 5] = base62::encode(number);
    KeyId::from_bytes(&[&time, routing_tag.unwrap_or(&own), &rest].concat()).unwrap()
}

/// An id, newer than all before, that no record has.
pub(super) fn unused_id() -> KeyId {
    next_id(None)
}

pub(super) fn workspace(text: &str) -> Workspace {
    Workspace::parse(text).unwrap()
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A credential that differs from that of any other number below 2^16.
pub(super) fn credential(number: u16) -> Credential {
    let salt = format!("AAECAwQFBgcICQ{number:04x}AAAQ");
    let hash = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let hash = StoredHash::parse(&format!("$hmac-sha256${salt}${hash}")).unwrap();
    let [high, low] = number.to_be_bytes();
    Credential::new(hash, Tag::from_bytes([high, low, 2, 3, 4, 5, 6, 7]))
}

/// A live key of the workspace `acme`, newer than all before.
pub(super) fn record(text: &str) -> Record {
    record_in("acme", text)
}

/// A live key of a workspace, newer than all before.
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

/// The same with a time of expiry.
pub(super) fn expiring(mut record: Record, end: Timestamp) -> Record {
    record.key.expires_at = Some(end);
    record
}

/// A key that this one creates, and that ends with it.
pub(super) fn child_of(parent: &Record) -> Record {
    let mut child = record_in(parent.key.workspace.as_str(), "child");
    child.key.parent = Some(parent.key.id);
    child.key.expires_at = parent.key.expires_at;
    child
}

/// A key that replaces this one: under a new id with the same routing tag, as the issuer makes it.
pub(super) fn successor_of(predecessor: &Record) -> Record {
    let mut key = predecessor.key.clone();
    key.id = next_id(Some(predecessor.key.id.routing_tag()));
    key.successor = None;
    Record::new(key, credential(2))
}

/// The same record, seen as one of another workspace.
pub(super) fn moved_to(tenant: &str, record: &Record) -> Record {
    let mut moved = record.clone();
    moved.key.workspace = workspace(tenant);
    moved
}

/// The same record in another version.
pub(super) fn in_version(version: u64, record: &Record) -> Record {
    Record {
        version,
        ..record.clone()
    }
}

/// Fails unless the store has refused something, and for this reason.
#[track_caller]
pub(super) fn assert_refused<T: Debug>(
    result: Result<T, StoreError>,
    kind: StoreErrorKind,
    what: &str,
) {
    match result {
        Err(error) if error.kind() == kind => {}
        other => panic!("{what}: must be refused as {kind:?}, but the store answered {other:?}"),
    }
}
