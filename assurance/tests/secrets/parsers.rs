//! Tests the errors of parsers whose input is a secret.

use std::{fmt::Debug, sync::Arc};

use keywright_core::{
    AllowedIps, Attributes, Environment, ForeignKey, IdempotencyKey, Importer, KeyId, Keywright,
    MemoryStore, Metadata, Name, Owner, PepperId, Permission, Permissions, Prefix, Timestamp,
    TokenRef, Workspace,
    foreign::ForeignFormat,
    store::{KeyStore, StoredHash},
};
use pollster::block_on;
use serde::de::DeserializeOwned;

use crate::{
    fixture::{Fixture, PASSWORD, config, prefix},
    printing::causes,
};

/// Formats the error of a parser, if it failed. Some parsers succeed, because any text is a name.
fn rejection<T, E: std::error::Error + 'static>(parsed: Result<T, E>) -> String {
    parsed.map_or_else(|error| causes(&error), |_| String::new())
}

/// Formats the errors of deserialising a text as a string, as the name of a member, and within a
/// list.
fn rejections<T: DeserializeOwned>(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let texts = [
        quoted.clone(),
        format!("{{{quoted}:1}}"),
        format!("[{quoted}]"),
    ];
    texts
        .iter()
        .map(|text| rejection(serde_json::from_str::<T>(text)))
        .collect()
}

/// Formats the errors of an import of a line with this text in place of a field, and of the name of
/// a field.
fn errors_of_import(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let names = [
        "hash",
        "public_part",
        "name",
        "permissions",
        "owner",
        "environment",
        "created_at",
        "expires_at",
        "enabled",
        "allowed_ips",
        "metadata",
    ];
    let keys = open_foreign();
    let importers = [ForeignFormat::unkey(), ForeignFormat::password('_')].map(|format| {
        let workspace = Workspace::parse("acme").unwrap();
        Importer::new(keys.issuer().clone(), workspace, format)
    });
    let mut errors = rejection(ForeignKey::parse(text));
    for name in names {
        for value in [
            quoted.clone(),
            format!("[{quoted}]"),
            format!("{{{quoted}:1}}"),
        ] {
            let mut line = serde_json::json!({"hash": "00", "name": "n", "permissions": ["a:b"]});
            line[name] = serde_json::from_str(&value).unwrap();
            match ForeignKey::parse(&line.to_string()) {
                Err(error) => errors += &causes(&error),
                Ok(key) => importers
                    .iter()
                    .for_each(|importer| errors += &rejection(block_on(importer.check(&key)))),
            }
        }
    }
    let line = format!(r#"{{"hash": "00", "name": "n", "permissions": ["a:b"], {quoted}: 1}}"#);
    errors + &rejection(ForeignKey::parse(&line))
}

/// A library that accepts every token as one of another system.
fn open_foreign() -> Keywright {
    let config = config()
        .with_foreign(ForeignFormat::unkey())
        .with_foreign(ForeignFormat::password('_'));
    block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap()
}

fn errors_of(text: &str) -> String {
    let by_parsing = [
        rejection(text.parse::<AllowedIps>()),
        rejection(Attributes::parse(text)),
        rejection(Environment::parse(text)),
        rejection(IdempotencyKey::parse(text)),
        rejection(KeyId::parse(text)),
        rejection(KeyId::from_bytes(text.as_bytes())),
        rejection(Metadata::parse(text)),
        rejection(Name::parse(text)),
        rejection(Owner::parse(text)),
        rejection(PepperId::parse(text)),
        rejection(Permission::parse(text)),
        rejection(text.parse::<Permissions>()),
        rejection(Prefix::parse(text)),
        rejection(StoredHash::parse(text)),
        rejection(Timestamp::parse(text)),
        rejection(Workspace::parse(text)),
        rejection(TokenRef::parse(text.as_bytes(), &prefix())),
        rejection(TokenRef::parse(
            text.as_bytes(),
            &Prefix::parse("acme").unwrap(),
        )),
    ];
    // The other types accept almost any text.
    let by_serde = [
        rejections::<AllowedIps>(text),
        rejections::<Environment>(text),
        rejections::<KeyId>(text),
        rejections::<Permissions>(text),
        rejections::<Prefix>(text),
        rejections::<Timestamp>(text),
        rejections::<PepperId>(text),
    ];
    [
        by_parsing.concat(),
        by_serde.concat(),
        errors_of_import(text),
    ]
    .concat()
}

#[test]
fn no_error_of_a_parser_contains_its_input() {
    let fixture = Fixture::over(Arc::new(MemoryStore::new()));
    let token = fixture.token();
    for text in [token.to_owned(), PASSWORD.to_owned()] {
        for (before, after) in [
            ("", ""),
            ("\0", ""),
            ("", "\n"),
            ("$", "$"),
            ("{", "}"),
            ("\"", ":"),
        ] {
            // Also repeated, so that it is too long for every type.
            for times in [1, 400] {
                let errors = errors_of(&format!("{before}{}{after}", text.repeat(times)));
                assert!(!errors.is_empty());
                fixture
                    .canaries
                    .assert_absent("the error of a parser", errors);
            }
        }
    }
}

#[test]
fn no_error_of_a_verification_contains_the_token() {
    let store = Arc::new(MemoryStore::new());
    let fixture = Fixture::over(Arc::clone(&store) as Arc<dyn KeyStore>);
    let token = fixture.token();
    let flipped = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        bytes
    };
    let debug = |error: &dyn Debug| format!("{error:?} {error:#?}");
    // The second one looks the token up as one of another system.
    for keys in [&fixture.keys, &open_foreign()] {
        for at in 0..token.len() {
            let error = block_on(keys.verifier().verify(&flipped(at))).unwrap_err();
            let text = [causes(&error), debug(&error)].concat();
            fixture
                .canaries
                .assert_absent("the error of a verification", text);
        }
    }
}
