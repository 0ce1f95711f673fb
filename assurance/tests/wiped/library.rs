//! Tests of the library.

use std::{sync::Arc, thread, time::Duration};

use keywright_core::{
    ForeignKey, IdempotencyKey, Imported, Importer, IntrospectionRequest, IssueOutcome, Issued,
    KeyUpdate, Keywright, MemoryStore, NewRotation, Permissions, Reach, Scheme, Token, TokenRef,
    VerifyError,
    foreign::{Digest, ForeignFormat, HashedPart},
    store::KeyStore,
};
use keywright_store_sqlite::SqliteStore;

use crate::scenario::{
    ISSUING, Tokens, VERIFYING, argon2id, assert_nothing_left, config, new_key, open, operator,
    prefix, scrub_stack,
};

/// Runs a future. The executor moves its own state from the stack to the heap, with the padding.
fn block_on<F: Future>(future: F) -> F::Output {
    scrub_stack();
    pollster::block_on(future)
}

/// Performs every operation on keys, over an empty store.
fn key_lifecycle(scheme: Scheme, store: Arc<dyn KeyStore>, rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    let keys = open(scheme, Arc::clone(&store), ISSUING);
    let (issuer, verifier) = (keys.issuer(), keys.verifier());
    let operator = operator();
    let first = block_on(issuer.create_first(&operator, new_key()));
    let first = first.unwrap().unwrap();
    tokens.add(&first.token, rehearsal);

    let Issued { key, token, .. } = block_on(issuer.create(&operator, new_key())).unwrap();
    tokens.add(&token, rehearsal);
    let bytes = token.expose().as_bytes();
    for _ in 0..2 {
        block_on(verifier.verify(bytes)).unwrap();
        let request = IntrospectionRequest::new();
        block_on(issuer.introspect(&operator, bytes, &request)).unwrap();
    }
    block_on(verifier.verify(&bytes[1..])).unwrap_err();

    let once = IdempotencyKey::parse("once").unwrap();
    for _ in 0..2 {
        let outcome = block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).unwrap();
        if let IssueOutcome::Issued(issued) = outcome {
            tokens.add(&issued.token, rehearsal);
        }
    }
    let pause = KeyUpdate::new().with_enabled(false);
    block_on(issuer.update(&operator, &key.id, &pause)).unwrap();
    block_on(verifier.verify(bytes)).unwrap_err();
    let resume = KeyUpdate::new().with_enabled(true);
    block_on(issuer.update(&operator, &key.id, &resume)).unwrap();
    block_on(verifier.verify(bytes)).unwrap();

    let rotated = block_on(issuer.rotate(&operator, &key.id, &NewRotation::new())).unwrap();
    tokens.add(&rotated.token, rehearsal);
    block_on(issuer.rotate(&operator, &key.id, &NewRotation::new()))
        .map(|_| ())
        .unwrap_err();

    // Verify tokens with the secret of another key, for keys in the cache and not.
    let wrong = TokenRef::parse(bytes, &prefix())
        .map_err(|_| ())
        .unwrap()
        .secret();
    for id in [key.id, rotated.key.id, first.key.id] {
        let forged = Token::assemble(&prefix(), key.environment, &id, &wrong);
        let verified = block_on(verifier.verify(forged.expose().as_bytes()));
        assert_eq!(verified.is_ok(), id == key.id);
    }
    block_on(issuer.revoke(&operator, &key.id, Reach::Descendants)).unwrap();
    let rejected = block_on(verifier.verify(bytes));
    assert!(matches!(rejected, Err(VerifyError::Denied(_))));
    block_on(keys.flush()).unwrap();
    drop(keys);

    // With another scheme configured, a verification replaces the hash.
    let other = match scheme {
        Scheme::HmacSha256 => argon2id(),
        _ => Scheme::HmacSha256,
    };
    let keys = open(other, Arc::clone(&store), VERIFYING);
    block_on(keys.verifier().verify(first.token.expose().as_bytes())).unwrap();
    // A background thread replaces the hash, and can outlive the verifier. Wait until it is done.
    let hash = || {
        block_on(store.find(&first.key.id))
            .unwrap()
            .unwrap()
            .credential
            .hash
    };
    while hash().scheme() != Some(other) {
        thread::sleep(Duration::from_millis(1));
    }
    drop(keys);
    while Arc::strong_count(&store) > 1 {
        thread::sleep(Duration::from_millis(1));
    }
    tokens
}

/// A token of another system.
const FOREIGN: &str = "pub_4eC39HqLyjWDarjtT1zdp7dcXyZ01234";
/// Another, with the same public part.
const WRONG: &str = "pub_4eC39HqLyjWDarjtT1zdp7dcXyZ01235";
/// The secret that stands for the token once its hash is replaced, computed with Python 3.11. The
/// second is that of a format that hashes the part after the separator and finds the key by it.
const DERIVED: [&str; 2] = [
    "toDsn9FaHnUcQGk6Rbij2pnBkbYVRNAk2MgGPgV5jt9",
    "m8oKINn2uWuAuPYZeI0bDWBb3c2aJ3rVJzsFtApLOrW",
];

/// Hashes of the token's secret, which Python 3.11 and the packages `bcrypt` and `argon2-cffi` have
/// made, and whether they have a public part.
const HASHES: [(&str, bool); 4] = [
    (
        "8d4f8bac25a7dace92e9e34a6f0da8786b4b28dfef9b5ad4be80532e58e855a8",
        false,
    ),
    (
        "pbkdf2_sha256$1000$salt$QUtJfNfhrIeDz9Wc8QrI/6c1z15upeFknMP20DLhXO0=",
        true,
    ),
    (
        "$2b$04$wdcuw23X.uNHWHHVQdZi6OJaOknRdTBenK.vRCkazmk.il4Oh7I.a",
        true,
    ),
    (
        "$argon2id$v=19$m=64,t=1,p=1$4csmmKaC3HjMe6cdxhJvSw$ZjLmD4v+Hnb6U8TwPE51lU+mKDNGXTEdWtQBObEa+xE",
        true,
    ),
];

/// Imports a key, verifies its token until its hash is replaced, and revokes it.
fn imported_lifecycle(hash: &str, has_public_part: bool, rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    if rehearsal {
        for token in [FOREIGN, WRONG] {
            tokens.add_secret(&token["pub_".len()..]);
        }
        DERIVED.iter().for_each(|secret| tokens.add_secret(secret));
    }
    let format = if has_public_part {
        ForeignFormat::password('_')
    } else {
        ForeignFormat::digest(Digest::Sha256).with_hashed_part(HashedPart::AfterFirst('_'))
    };
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let config = config(argon2id(), VERIFYING).with_foreign(format.clone());
    let keys = block_on(Keywright::open(config, Arc::clone(&store))).unwrap();
    let (issuer, verifier, operator) = (keys.issuer(), keys.verifier(), operator());
    let importer = Importer::new(issuer.clone(), operator.workspace().clone(), format);
    let mut key = ForeignKey::new(hash, new_key().name, Permissions::all());
    key.public_part = has_public_part.then(|| "pub".to_owned());
    let Imported::New(id) = block_on(importer.import(&key)).unwrap() else {
        panic!("the key is present");
    };
    block_on(verifier.verify(WRONG.as_bytes())).unwrap_err();
    block_on(verifier.verify(FOREIGN.as_bytes())).unwrap();
    let is_native = || {
        let record = block_on(store.find(&id)).unwrap().unwrap();
        record.credential.hash.scheme().is_some()
    };
    while !is_native() {
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..2 {
        block_on(verifier.verify(FOREIGN.as_bytes())).unwrap();
        block_on(verifier.verify(WRONG.as_bytes())).unwrap_err();
        let request = IntrospectionRequest::new();
        block_on(issuer.introspect(&operator, FOREIGN.as_bytes(), &request)).unwrap();
    }
    block_on(issuer.revoke(&operator, &id, Reach::Key)).unwrap();
    block_on(verifier.verify(FOREIGN.as_bytes())).unwrap_err();
    block_on(keys.flush()).unwrap();
    drop((keys, importer));
    while Arc::strong_count(&store) > 1 {
        thread::sleep(Duration::from_millis(1));
    }
    tokens
}

#[test]
fn the_library_leaves_no_part_of_the_token_of_an_imported_key() {
    for (hash, has_public_part) in HASHES {
        assert_nothing_left(|rehearsal| imported_lifecycle(hash, has_public_part, rehearsal));
    }
}

#[test]
fn the_library_over_memory_leaves_no_secret_with_hmac_sha256() {
    assert_nothing_left(|rehearsal| {
        key_lifecycle(Scheme::HmacSha256, Arc::new(MemoryStore::new()), rehearsal)
    });
}

#[test]
fn the_library_over_memory_leaves_no_secret_with_argon2id() {
    assert_nothing_left(|rehearsal| {
        key_lifecycle(argon2id(), Arc::new(MemoryStore::new()), rehearsal)
    });
}

#[test]
fn the_library_over_a_file_leaves_no_secret() {
    assert_nothing_left(|rehearsal| {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
        key_lifecycle(argon2id(), Arc::new(store), rehearsal)
    });
}
