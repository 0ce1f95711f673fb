//! Sample records.

use std::sync::atomic::{AtomicU32, Ordering};

use keywright_core::{
    Actor, Attributes, Environment, Event, EventId, EventKind, Key, KeyId, Metadata, Name, Owner,
    Reach, Timestamp, Workspace,
    store::{Credential, Record, StoredHash, Tag},
};

const HASH: &str =
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

pub(crate) fn workspace() -> Workspace {
    Workspace::parse("default").unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_709_287_200_000).unwrap()
}

/// Returns an id that grows with the number, and whose routing tag depends on it.
pub(crate) fn id(number: u32) -> KeyId {
    KeyId::parse(&format!(
        "key_0U5{number:05}{:03}{number:05}",
        number % 1000
    ))
    .unwrap()
}

/// Returns a record with a new id, greater than all previous ids.
pub(crate) fn record() -> Record {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let key = Key::new(
        id(number),
        workspace(),
        Environment::Live,
        Name::parse(&format!("key {number}")).unwrap(),
        "calls:read,calls:write".parse().unwrap(),
    );
    let hash = StoredHash::parse(HASH).unwrap();
    Record::new(
        key,
        Credential::new(hash, Tag::from_bytes([7; Tag::LENGTH])),
    )
}

/// Returns a new record that has each of the optional settings and is disabled.
pub(crate) fn full() -> Record {
    let mut record = record();
    record.key.owner = Some(owner(r#"{"a","b"}"#));
    record.key.metadata = Some(Metadata::parse(r#"{"note":1}"#).unwrap());
    record.key.attributes = Some(Attributes::parse(r#"{"plan":"pro"}"#).unwrap());
    record.key.enabled = false;
    record.key.allowed_ips = Some("192.0.2.0/24,2001:db8::1".parse().unwrap());
    record.key.expires_at = Some(Timestamp::MAX);
    record
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

/// Returns a new record of this owner.
pub(crate) fn owned_by(owner: &Owner) -> Record {
    let mut record = record();
    record.key.owner = Some(owner.clone());
    record
}

/// Returns a new record whose parent is this one.
pub(crate) fn child_of(parent: &Record) -> Record {
    let mut child = record();
    child.key.parent = Some(parent.key.id);
    child
}

/// Returns a new record with the routing tag of its predecessor.
pub(crate) fn successor_of(predecessor: &Record) -> Record {
    let mut successor = record();
    let own = *successor.key.id.as_bytes();
    let bytes = [
        own.get(..8).unwrap(),
        predecessor.key.id.routing_tag(),
        own.get(11..).unwrap(),
    ]
    .concat();
    successor.key.id = KeyId::from_bytes(&bytes).unwrap();
    successor
}

/// Returns an event of a key with a new id, greater than all previous ids.
pub(crate) fn event(key: &Key, kind: EventKind) -> Event {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let tag = str::from_utf8(key.id.routing_tag()).unwrap();
    let id = EventId::parse(&format!("evt_0U6{number:05}{tag}{number:05}")).unwrap();
    Event::new(id, kind, key, Actor::Operator)
}

/// Returns the event of a revocation.
pub(crate) fn revocation(key: &Key, reach: Reach) -> Event {
    let cascade = reach == Reach::Descendants;
    event(
        key,
        EventKind::Revoked {
            cascade,
            count: None,
        },
    )
}
