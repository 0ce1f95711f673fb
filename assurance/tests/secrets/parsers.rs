//! What parsers say of a secret that they are given instead of what they read.

use std::{fmt::Debug, sync::Arc};

use keywright_core::{
    Environment, IdempotencyKey, KeyId, KeyStore, MemoryStore, Metadata, Name, PepperId,
    Permission, Permissions, Prefix, StoredHash, Timestamp, TokenRef, Workspace,
};
use pollster::block_on;
use serde::de::DeserializeOwned;

use crate::{
    printed::causes,
    world::{PASSWORD, World, prefix},
};

/// What is said of a text that is none. Where it is one, as any text is a name, it says itself.
fn refusal<T, E: std::error::Error + 'static>(parsed: Result<T, E>) -> String {
    parsed.map_or_else(|error| causes(&error), |_| String::new())
}

/// The same by serde, as a string, as a name of a member and in a list.
fn refusals<T: DeserializeOwned>(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let texts = [
        quoted.clone(),
        format!("{{{quoted}:1}}"),
        format!("[{quoted}]"),
    ];
    texts
        .iter()
        .map(|text| refusal(serde_json::from_str::<T>(text)))
        .collect()
}

fn said_of(text: &str) -> String {
    let by_parsing = [
        refusal(Environment::parse(text)),
        refusal(IdempotencyKey::parse(text)),
        refusal(KeyId::parse(text)),
        refusal(KeyId::from_bytes(text.as_bytes())),
        refusal(Metadata::parse(text)),
        refusal(Name::parse(text)),
        refusal(PepperId::parse(text)),
        refusal(Permission::parse(text)),
        refusal(text.parse::<Permissions>()),
        refusal(Prefix::parse(text)),
        refusal(StoredHash::parse(text)),
        refusal(Timestamp::parse(text)),
        refusal(Workspace::parse(text)),
        refusal(TokenRef::parse(text.as_bytes(), &prefix())),
        refusal(TokenRef::parse(
            text.as_bytes(),
            &Prefix::parse("acme").unwrap(),
        )),
    ];
    // What is a text of these is one, and is not a secret to them.
    let by_serde = [
        refusals::<Environment>(text),
        refusals::<KeyId>(text),
        refusals::<Permissions>(text),
        refusals::<Prefix>(text),
        refusals::<Timestamp>(text),
        refusals::<PepperId>(text),
    ];
    [by_parsing.concat(), by_serde.concat()].concat()
}

#[test]
fn no_parser_repeats_what_it_was_given() {
    let world = World::over(Arc::new(MemoryStore::new()));
    let token = world.token();
    for text in [token.to_owned(), PASSWORD.to_owned()] {
        for (before, after) in [
            ("", ""),
            ("\0", ""),
            ("", "\n"),
            ("$", "$"),
            ("{", "}"),
            ("\"", ":"),
        ] {
            // Too long for everything, too.
            for times in [1, 400] {
                let said = said_of(&format!("{before}{}{after}", text.repeat(times)));
                assert!(!said.is_empty());
                world.canaries.assert_absent("the errors of parsers", said);
            }
        }
    }
}

#[test]
fn what_is_said_of_a_token_that_is_refused_holds_none_of_it() {
    let store = Arc::new(MemoryStore::new());
    let world = World::over(Arc::clone(&store) as Arc<dyn KeyStore>);
    let token = world.token();
    let flipped = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        bytes
    };
    let said = |shown: &dyn Debug| format!("{shown:?} {shown:#?}");
    for at in 0..token.len() {
        let refused = block_on(world.keys.verifier().verify(&flipped(at))).unwrap_err();
        let text = [causes(&refused), said(&refused)].concat();
        world.canaries.assert_absent("what a verifier says", text);
    }
}
