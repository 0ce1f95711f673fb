//! Fuzzes the lines of an import and the tokens of other systems. An imported key is found again
//! with the same content, an error contains no part of the hash, and a token that no key has is
//! denied.

#![no_main]

mod library;

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Denied, ForeignKey, ImportError, Imported, Importer, Keywright, MemoryStore, VerifyError,
    Workspace,
    foreign::{Digest, ForeignFormat, HashedPart},
    store::{KeyStore, StoredHash},
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// A secret of which no error may contain a piece.
const CANARY: &str = "zQ7xW9vK2mN4pR6tY8bH3jL5";

// The first byte of the input selects a format. The rest is a line and a token.
fuzz_target!(|bytes: &[u8]| {
    let Some((&selected, rest)) = bytes.split_first() else {
        return;
    };
    let format = format(selected);
    let store = Arc::new(MemoryStore::new());
    let keys = library::open(library::config().with_foreign(format.clone()), &store);
    if let Ok(line) = str::from_utf8(rest) {
        import(&keys, &store, &format, line);
    }
    verify(&keys, rest);
});

fn format(selected: u8) -> ForeignFormat {
    match selected % 8 {
        0 => ForeignFormat::unkey(),
        1 => ForeignFormat::sanctum(),
        2 => ForeignFormat::better_auth(),
        3 => ForeignFormat::drf_api_key(),
        4 => ForeignFormat::prefixed_api_key(),
        5 => ForeignFormat::sha256_hex().with_token_prefix("old_"),
        6 => ForeignFormat::password('_').with_token_length(8..=64),
        _ => ForeignFormat::digest(Digest::Sha512).with_hashed_part(HashedPart::AfterLast('.')),
    }
}

fn import(keys: &Keywright, store: &MemoryStore, format: &ForeignFormat, line: &str) {
    let workspace = Workspace::parse("acme").expect("the workspace is valid");
    let importer = Importer::new(keys.issuer().clone(), workspace, format.clone());
    has_no_canary(&importer, line);
    let Ok(key) = ForeignKey::parse(line) else {
        return;
    };
    let checked = block_on(importer.check(&key));
    match block_on(importer.import(&key)) {
        Ok(Imported::New(id)) => {
            assert!(matches!(checked, Ok(Imported::New(_))));
            let record = block_on(store.find(&id)).expect("the call succeeds");
            let record = record.expect("the key was imported");
            let text = record.credential.hash.to_string();
            assert_eq!(StoredHash::parse(&text), Ok(record.credential.hash));
            assert_eq!(record.key.name, key.name);
            assert_eq!(record.key.permissions, key.permissions);
            assert!(record.key.imported && record.alias.is_some());
            // The hash of the token is not the token.
            verify(keys, key.hash.as_bytes());
            for _ in 0..2 {
                let again = block_on(importer.import(&key));
                assert!(matches!(again, Ok(Imported::Present(present)) if present == id));
            }
        }
        Ok(Imported::Present(_)) => unreachable!("the store is empty"),
        Err(error) => {
            let checked = checked.expect_err("the check accepts what the import rejects");
            assert_eq!(error.to_string(), checked.to_string());
        }
    }
}

/// Puts the canary in place of the hash, of the public part and of a member that no key has. The
/// errors contain no piece of it.
fn has_no_canary(importer: &Importer, line: &str) {
    let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
        return;
    };
    for member in ["hash", "public_part", CANARY] {
        let before = object.insert(member.into(), json!(CANARY));
        let error = match ForeignKey::parse(&Value::from(object.clone()).to_string()) {
            Err(error) => Some(error),
            Ok(key) => block_on(importer.check(&key)).err(),
        };
        assert!(member != CANARY || error.is_some());
        if let Some(error) = error {
            let text = format!("{error} {error:?}");
            let pieces = CANARY.as_bytes().windows(8);
            let mut pieces =
                pieces.map(|piece| str::from_utf8(piece).expect("the canary is ASCII"));
            assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
            assert!(!matches!(
                error,
                ImportError::Different(_) | ImportError::Taken
            ));
        }
        match before {
            Some(before) => object.insert(member.into(), before),
            None => object.remove(member),
        };
    }
}

/// Verifies a token that no key has.
fn verify(keys: &Keywright, token: &[u8]) {
    match block_on(keys.verifier().verify(token)) {
        Err(VerifyError::Denied(Denied::NotImported | Denied::Malformed(_))) => {}
        // A public part that exists, with a wrong secret.
        Err(VerifyError::Denied(Denied::WrongSecret(_))) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("accepted a token that no key has"),
    }
}
