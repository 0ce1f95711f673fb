//! Records for tests.

use keywright_core::{
    Actor, Environment, Event, EventId, EventKind, Key, KeyId, Name, Timestamp, Workspace,
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

/// Returns an id that sorts by its number.
pub(crate) fn id(number: u32) -> KeyId {
    KeyId::parse(&format!("key_0U5lKt{number:010}")).unwrap()
}

pub(crate) fn record(number: u32) -> Record {
    named(number, &format!("key {number}"))
}

pub(crate) fn named(number: u32, name: &str) -> Record {
    let key = Key::new(
        id(number),
        workspace(),
        Environment::Live,
        Name::parse(name).unwrap(),
        "calls:read,calls:write".parse().unwrap(),
    );
    let hash = StoredHash::parse(HASH).unwrap();
    Record::new(
        key,
        Credential::new(hash, Tag::from_bytes([7; Tag::LENGTH])),
    )
}

/// Returns the event of the creation of a key. Its id has the same characters as the id of the key.
pub(crate) fn created(key: &Key) -> Event {
    let id = EventId::from_bytes(key.id.as_bytes()).unwrap();
    Event::new(id, EventKind::Created, key, Actor::Operator)
}

/// Returns an event with an id that sorts by its number. Each number has a different time.
pub(crate) fn event(number: u32, kind: EventKind, key: &Key) -> Event {
    let id = EventId::parse(&format!("evt_0U5{number:05}00000000")).unwrap();
    Event::new(id, kind, key, Actor::Operator)
}
