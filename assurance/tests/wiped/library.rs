//! Tests of the library.

use std::{sync::Arc, thread, time::Duration};

use keywright_core::{
    IdempotencyKey, IntrospectionRequest, IssueOutcome, Issued, KeyUpdate, MemoryStore,
    NewRotation, Reach, Scheme, Token, TokenRef, VerifyError, store::KeyStore,
};
use keywright_store_sqlite::SqliteStore;

use crate::scenario::{
    ISSUING, Tokens, VERIFYING, argon2id, assert_nothing_left, new_key, open, operator, prefix,
    scrub_stack,
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
