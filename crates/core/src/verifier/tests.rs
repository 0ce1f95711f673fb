//! Tests of [`CachedKey`] and [`TokenMac`]. They are not in those files, because the model tests
//! and a bench also compile those files.

use super::{cached_key::CachedKey, proof::Proof, token_mac::TokenMac};
use crate::{
    Attributes, Environment, Key, KeyId, Metadata, Name, Owner, Permissions, Timestamp, Workspace,
};

crate::secrecy::assert_unprintable!(TokenMac, Proof);

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn key() -> Key {
    Key::new(
        id("key_0U5lKtf600000000"),
        Workspace::parse("acme").unwrap(),
        Environment::Live,
        Name::parse("n").unwrap(),
        Permissions::all(),
    )
}

#[test]
fn a_record_is_the_same_unless_more_than_its_last_use_differs() {
    let cached = CachedKey::new(key(), 1);
    assert!(cached.is_same(&key(), 1));
    assert!(!cached.is_same(&key(), 2));
    let mut used = key();
    used.last_used_at = Some(used.created_at());
    assert!(cached.is_same(&used, 1));
    let differences: [fn(&mut Key); 16] = [
        |key| key.id = id("key_0U5lKtf600000001"),
        |key| key.workspace = Workspace::parse("other").unwrap(),
        |key| key.environment = Environment::Test,
        |key| key.name = Name::parse("other").unwrap(),
        |key| key.permissions = Permissions::default(),
        |key| key.metadata = Some(Metadata::parse("{}").unwrap()),
        |key| key.owner = Some(Owner::parse("user:1").unwrap()),
        |key| key.attributes = Some(Attributes::parse("{}").unwrap()),
        |key| key.enabled = false,
        |key| key.allowed_ips = Some("::1".parse().unwrap()),
        |key| key.parent = Some(id("key_0U5lKtf600000001")),
        |key| key.successor = Some(id("key_0U5lKtf600000001")),
        |key| key.predecessor = Some(id("key_0U5lKtf600000001")),
        |key| key.rotated_by = Some(id("key_0U5lKtf600000001")),
        |key| key.expires_at = Some(Timestamp::MAX),
        |key| key.revoked_at = Some(Timestamp::MAX),
    ];
    for (number, differ) in differences.into_iter().enumerate() {
        let mut other = key();
        differ(&mut other);
        assert!(!cached.is_same(&other, 1), "difference {number}");
    }
}

/// A cache may hold many keys, so each field costs every host.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_cached_key_takes_at_most_216_bytes_without_the_values_that_it_points_to() {
    assert!(size_of::<CachedKey>() <= 216, "{}", size_of::<CachedKey>());
}

#[test]
fn the_last_use_is_never_before_the_creation_and_never_goes_back() {
    let created = key().created_at().as_millis();
    let cached = CachedKey::new(key(), 1);
    assert_eq!(cached.last_used_at(), None);
    // The coarse clock may be behind the clock that dated the creation.
    cached.record_use(time(created - 1));
    assert_eq!(cached.last_used_at(), Some(time(created)));
    cached.record_use(time(created + 2));
    cached.record_use(time(created + 1));
    assert_eq!(cached.last_used_at(), Some(time(created + 2)));
}

#[test]
fn a_changed_key_inherits_the_uses_of_its_earlier_version() {
    let used = time(key().created_at().as_millis() + 1);
    let earlier = CachedKey::new(key(), 1);
    let changed = CachedKey::new(key(), 2);
    changed.inherit_uses(&earlier);
    assert_eq!(changed.last_used_at(), None);
    earlier.record_use(used);
    changed.inherit_uses(&earlier);
    assert_eq!(changed.last_used_at(), Some(used));
}

#[test]
fn a_mac_matches_only_as_a_whole() {
    let mac = TokenMac::new([1, 2]);
    assert_eq!(mac.as_words(), [1, 2]);
    assert!(mac.matches(TokenMac::new([1, 2])));
    for other in [[1, 3], [3, 2], [2, 1]] {
        assert!(!mac.matches(TokenMac::new(other)), "{other:?}");
    }
}
