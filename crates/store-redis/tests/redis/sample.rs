//! Records to try a store with.

use std::sync::atomic::{AtomicU32, Ordering};

use keywright_core::{
    Credential, Environment, Key, KeyId, Name, Record, StoredHash, Tag, Timestamp, Workspace,
};

const HASH: &str =
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

pub(crate) fn workspace() -> Workspace {
    Workspace::parse("default").unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_709_287_200_000).unwrap()
}

/// The ids grow with the number, and have a routing tag that depends on it.
pub(crate) fn id(number: u32) -> KeyId {
    KeyId::parse(&format!(
        "key_0U5{number:05}{:03}{number:05}",
        number % 1000
    ))
    .unwrap()
}

/// A record with an id that none before had.
pub(crate) fn record() -> Record {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let key = Key::new(
        id(number),
        workspace(),
        Environment::Live,
        Name::parse(&format!("key {number}")).unwrap(),
        "calls:read,calls:write".parse().unwrap(),
    );
    let hash = StoredHash::parse(HASH).unwrap();
    Record::new(key, Credential::new(hash, Tag::from_bytes([7; 8])))
}

pub(crate) fn child_of(parent: &Record) -> Record {
    let mut child = record();
    child.key.parent = Some(parent.key.id);
    child
}

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
