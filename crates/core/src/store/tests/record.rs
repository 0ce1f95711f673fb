//! Tests of the rules of a record.

use crate::{
    Attributes, Environment, Key, KeyId, Metadata, Name, Permissions, Timestamp, Workspace,
    hash::{Credential, StoredHash, Tag},
    store::{Record, Retire, Settings, StoreErrorKind},
};

const ID: &str = "key_0U5lKtf600000000";
const SUCCESSOR: &str = "key_0U5lKtf600000001";
const HASH: &str =
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

type Change = fn(&mut Record, u64) -> Result<(), StoreErrorKind>;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

fn record() -> Record {
    let key = Key::new(
        id(ID),
        Workspace::parse("default").unwrap(),
        Environment::Live,
        Name::parse("CI").unwrap(),
        Permissions::all(),
    );
    let hash = StoredHash::parse(HASH).unwrap();
    Record::new(
        key,
        Credential::new(hash, Tag::from_bytes([7; Tag::LENGTH])),
    )
}

/// Tries each conditional change of a copy of the record, and asserts that none changes it.
fn assert_rejected(record: &Record, version: u64, expected: StoreErrorKind) {
    let changes: [Change; 3] = [
        |record, version| {
            let mut changed = Settings::from(&record.key);
            changed.name = Name::parse("other").unwrap();
            record.update(version, changed)
        },
        |record, version| {
            let mut credential = record.credential.clone();
            credential.tag = Tag::from_bytes([8; Tag::LENGTH]);
            record.rehash(version, credential)
        },
        |record, version| record.retire(version, Retire::Now, id(SUCCESSOR), at(0)),
    ];
    for change in changes {
        let mut copy = record.clone();
        assert_eq!(change(&mut copy, version), Err(expected));
        assert_eq!(copy, *record);
    }
}

#[test]
fn a_change_is_rejected_on_another_version_or_after_the_last_one() {
    let mut record = record();
    for version in [0, 2, u64::MAX] {
        assert_rejected(&record, version, StoreErrorKind::Conflict);
    }
    record.version = u64::MAX;
    assert_rejected(&record, u64::MAX, StoreErrorKind::Corrupt);
}

#[test]
fn a_revoked_key_cannot_be_changed_and_keeps_its_time() {
    let mut record = record();
    assert!(record.revoke(at(1)));
    assert!(!record.revoke(at(2)));
    assert_eq!((record.key.revoked_at, record.version), (Some(at(1)), 2));
    for version in [1, 2] {
        assert_rejected(&record, version, StoreErrorKind::NotFound);
    }
    record = self::record();
    record.version = u64::MAX;
    assert!(record.revoke(at(1)));
}

#[test]
fn a_key_is_retired_once_while_it_is_active_and_never_expires_later() {
    for (expires_at, end, expected) in [(None, 5, 5), (Some(at(4)), 5, 4), (Some(at(6)), 5, 5)] {
        let mut record = record();
        record.key.expires_at = expires_at;
        let retire = Retire::At(at(end));
        assert_eq!(record.retire(1, retire, id(SUCCESSOR), at(3)), Ok(()));
        assert_eq!(record.key.expires_at, Some(at(expected)));
        assert_eq!(record.key.successor, Some(id(SUCCESSOR)));
        assert_eq!((record.key.revoked_at, record.version), (None, 2));
        assert_eq!(
            record.retire(2, retire, id(SUCCESSOR), at(3)),
            Err(StoreErrorKind::Conflict)
        );
    }
    let mut expired = record();
    expired.key.expires_at = Some(at(3));
    let mut disabled = record();
    disabled.key.enabled = false;
    for mut inactive in [expired, disabled] {
        let before = inactive.clone();
        assert_eq!(
            inactive.retire(1, Retire::Now, id(SUCCESSOR), at(3)),
            Err(StoreErrorKind::Conflict)
        );
        assert_eq!(inactive, before);
    }
}

#[test]
fn an_update_replaces_all_settings_together_and_nothing_else() {
    let mut record = record();
    record.key.owner = Some("user:1".parse().unwrap());
    record.key.parent = Some(id(SUCCESSOR));
    record.key.last_used_at = Some(at(1));
    let before = record.clone();
    let mut other = before.key.clone();
    other.name = Name::parse("other").unwrap();
    other.permissions = "calls:read".parse().unwrap();
    other.metadata = Some(Metadata::parse("{}").unwrap());
    other.attributes = Some(Attributes::parse("{}").unwrap());
    other.enabled = false;
    other.expires_at = Some(at(5));
    other.allowed_ips = Some("192.0.2.1".parse().unwrap());
    assert_eq!(record.update(1, Settings::from(&other)), Ok(()));
    assert_eq!(record.key, other);
    assert_eq!(record.version, 2);
    // An expired and disabled key can be changed back.
    assert_eq!(record.update(2, Settings::from(&before.key)), Ok(()));
    assert_eq!(record.key, before.key);
    assert_eq!(record.credential, before.credential);
}

#[test]
fn a_touch_moves_the_last_use_forward_only() {
    let mut record = record();
    for (time, expected) in [(2, 2), (1, 2), (3, 3)] {
        record.touch(at(time));
        assert_eq!(record.key.last_used_at, Some(at(expected)));
    }
    assert_eq!(record.version, 1);
}
