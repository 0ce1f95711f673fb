//! Known answers: tokens, hashes and events that every version must accept.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Clock, Config, Denied, Environment, Event, Key, Keywright, MemoryStore, Name, Pepper, PepperId,
    PepperRing, Permissions, Prefix, Timestamp, Token, TokenRef, VerifyError, Workspace,
    store::{Credential, KeyStore, Record, StoredHash, Tag},
};

fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
}

#[test]
fn known_tokens_are_parsed_or_rejected() {
    let mut count = 0;
    for row in rows(include_str!("known_answers/tokens.txt")) {
        let [prefix, expected, text] = row[..] else {
            panic!("a row must have three columns")
        };
        let prefix = Prefix::parse(prefix).unwrap();
        let parsed = TokenRef::parse(text.as_bytes(), &prefix);
        if expected == "rejected" {
            assert!(parsed.is_err(), "{text}");
        } else {
            let token = parsed.map_err(|error| format!("{text}: {error}")).unwrap();
            assert_eq!(token.id().created_at().to_string(), expected);
            let assembled =
                Token::assemble(&prefix, token.environment(), token.id(), &token.secret());
            assert_eq!(assembled.expose(), text);
        }
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn known_events_are_read_and_written_again_as_they_are() {
    let mut count = 0;
    let events = include_str!("known_answers/events.txt");
    for line in events.lines().filter(|line| !line.starts_with('#')) {
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
        count += 1;
    }
    assert_eq!(count, 8);
}

/// A clock that always returns the same time.
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }
}

/// Verifies a token with a store that contains this hash and tag for it.
fn verify(
    text: &str,
    workspace: &str,
    environment: Environment,
    peppers: PepperRing,
    credential: Credential,
) -> Result<(), VerifyError> {
    let prefix = Prefix::parse("sk").unwrap();
    let id = *TokenRef::parse(text.as_bytes(), &prefix)
        .map_err(|e| e.to_string())
        .unwrap()
        .id();
    let workspace = Workspace::parse(workspace).unwrap();
    let name = Name::parse("known answer").unwrap();
    let key = Key::new(id, workspace, environment, name, Permissions::all());
    let store = MemoryStore::new();
    block_on(async {
        store.claim_prefix(&prefix).await.unwrap();
        store
            .insert(&Record::new(key, credential), FixedClock.now(), None)
            .await
            .unwrap();
        let config = Config::new(prefix)
            .with_peppers(peppers)
            .with_clock(FixedClock);
        let keys = Keywright::open(config, Arc::new(store)).await.unwrap();
        keys.verifier().verify(text.as_bytes()).await.map(|_| ())
    })
}

#[test]
fn known_hashes_are_verified() {
    let mut count = 0;
    for row in rows(include_str!("known_answers/hashes.txt")) {
        let [text, workspace, pepper_id, pepper, tag, hash] = row[..] else {
            panic!("a row must have six columns")
        };
        let environment = if text.starts_with("sk_live") {
            Environment::Live
        } else {
            Environment::Test
        };
        let peppers = || match pepper_id {
            "-" => PepperRing::default(),
            id => {
                let pepper = Pepper::new(PepperId::parse(id).unwrap(), &from_hex(pepper)).unwrap();
                PepperRing::default().with_newest(pepper).unwrap()
            }
        };
        let tag = Tag::from_bytes(from_hex(tag).try_into().unwrap());
        let credential = || Credential::new(StoredHash::parse(hash).unwrap(), tag);

        let result = verify(text, workspace, environment, peppers(), credential());
        assert!(result.is_ok(), "{hash}: {result:?}");

        // The same credential in the record of another workspace.
        let moved = verify(text, "elsewhere", environment, peppers(), credential());
        assert!(
            matches!(moved, Err(VerifyError::Denied(Denied::WrongSecret(_)))),
            "{moved:?}"
        );

        if pepper_id != "-" {
            let missing = verify(
                text,
                workspace,
                environment,
                PepperRing::default(),
                credential(),
            );
            assert!(
                matches!(missing, Err(VerifyError::Undecided(_))),
                "{missing:?}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 12);
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
