//! What is known of a key, and the MAC of a token, by themselves. Not beside them: the model check and a
//! bench compile those files in their own ways.

use super::{known::Known, token_mac::TokenMac};
use crate::{Environment, Key, KeyId, Metadata, Name, Permissions, Timestamp, Workspace};

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
fn a_record_is_the_one_that_is_known_unless_something_but_its_use_differs() {
    let known = Known::new(key(), 1);
    assert!(known.is(&key(), 1));
    assert!(!known.is(&key(), 2));
    let mut used = key();
    used.last_used_at = Some(used.created_at());
    assert!(known.is(&used, 1));
    let differences: [fn(&mut Key); 10] = [
        |key| key.id = id("key_0U5lKtf600000001"),
        |key| key.workspace = Workspace::parse("other").unwrap(),
        |key| key.environment = Environment::Test,
        |key| key.name = Name::parse("other").unwrap(),
        |key| key.permissions = Permissions::default(),
        |key| key.metadata = Some(Metadata::parse("{}").unwrap()),
        |key| key.parent = Some(id("key_0U5lKtf600000001")),
        |key| key.successor = Some(id("key_0U5lKtf600000001")),
        |key| key.expires_at = Some(Timestamp::MAX),
        |key| key.revoked_at = Some(Timestamp::MAX),
    ];
    for (number, differ) in differences.into_iter().enumerate() {
        let mut other = key();
        differ(&mut other);
        assert!(!known.is(&other, 1), "difference {number}");
    }
}

#[test]
fn a_use_is_known_from_the_first_on_and_never_forgotten_for_an_earlier_one() {
    let created = key().created_at().as_millis();
    let known = Known::new(key(), 1);
    assert_eq!(known.last_used_at(), None);
    // A coarse clock may be behind the one that dated the creation.
    known.use_at(time(created - 1));
    assert_eq!(known.last_used_at(), Some(time(created)));
    known.use_at(time(created + 2));
    known.use_at(time(created + 1));
    assert_eq!(known.last_used_at(), Some(time(created + 2)));
}

#[test]
fn a_changed_key_was_last_used_when_it_was_before_the_change() {
    let used = time(key().created_at().as_millis() + 1);
    let before = Known::new(key(), 1);
    let changed = Known::new(key(), 2);
    changed.follow(&before);
    assert_eq!(changed.last_used_at(), None);
    before.use_at(used);
    changed.follow(&before);
    assert_eq!(changed.last_used_at(), Some(used));
}

#[test]
fn a_mac_is_of_a_token_only_as_a_whole() {
    let mac = TokenMac::new([1, 2]);
    assert_eq!(mac.as_words(), [1, 2]);
    assert!(mac.matches(TokenMac::new([1, 2])));
    for other in [[1, 3], [3, 2], [2, 1]] {
        assert!(!mac.matches(TokenMac::new(other)), "{other:?}");
    }
}
