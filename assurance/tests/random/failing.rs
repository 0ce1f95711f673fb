//! A source of random bytes that fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, header};
use http_body_util::Full;
use keywright_core::{
    Config, Entropy, Environment, IdempotencyKey, IssueError, KeyStore, Keywright, ListKeys,
    MemoryStore, Name, NewKey, NewRotation, OpenError, OsEntropy, Prefix, RandomError, Scheme,
    Timestamp,
};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use pollster::block_on;
use tower_service::Service;

use crate::unique::operator;

/// The operating system's, so many times; then it fails. What it has filled until then may be half of a seed.
struct Limited(Arc<AtomicUsize>);

impl Entropy for Limited {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_err() {
            seed[..16].fill(7);
            return Err(RandomError::new("no bytes today"));
        }
        OsEntropy::default().fill(seed)
    }
}

fn open(store: &Arc<dyn KeyStore>, seeds: &Arc<AtomicUsize>) -> Result<Keywright, OpenError> {
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(Limited(Arc::clone(seeds)));
    block_on(Keywright::open(config, Arc::clone(store)))
}

fn stored(store: &Arc<dyn KeyStore>) -> usize {
    let all = ListKeys::new().with_limit(100);
    block_on(store.list(
        operator().workspace(),
        Environment::Live,
        &all,
        Timestamp::MAX,
    ))
    .unwrap()
    .keys
    .len()
}

fn new_key() -> NewKey {
    NewKey::new(Name::parse("n").unwrap())
}

fn nothing_is_stored_in(store: &Arc<dyn KeyStore>) {
    let seeds = Arc::new(AtomicUsize::new(0));
    assert!(matches!(open(store, &seeds), Err(OpenError::Random(_))));
    // One for the key of the proofs.
    seeds.store(1, Ordering::SeqCst);
    let keys = open(store, &seeds).unwrap();
    let (issuer, operator) = (keys.issuer(), operator());
    let fails = |done: Result<(), IssueError>| {
        let error = done.unwrap_err();
        assert!(matches!(error, IssueError::Random(_)), "{error:?}");
    };
    let once = IdempotencyKey::parse("once").unwrap();
    fails(block_on(issuer.create(&operator, new_key())).map(|_| ()));
    fails(block_on(issuer.create_first(operator.workspace().clone(), new_key())).map(|_| ()));
    fails(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).map(|_| ()));
    // The id that is bound is drawn, and the secret is not.
    seeds.store(1, Ordering::SeqCst);
    fails(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).map(|_| ()));
    seeds.store(1, Ordering::SeqCst);
    fails(block_on(issuer.create_first(operator.workspace().clone(), new_key())).map(|_| ()));
    assert!(block_on(store.is_empty()).unwrap());

    // Once there are bytes again, the repeat is done.
    seeds.store(2, Ordering::SeqCst);
    assert!(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).is_ok());
    seeds.store(1, Ordering::SeqCst);
    let issued = block_on(issuer.create(&operator, new_key())).unwrap();
    assert_eq!(stored(store), 2);
    // The key stays as it was when its successor could not be made.
    let before = block_on(store.find(&issued.key.id)).unwrap();
    fails(block_on(issuer.rotate(&operator, &issued.key.id, &NewRotation::new())).map(|_| ()));
    assert_eq!(block_on(store.find(&issued.key.id)).unwrap(), before);

    // Verification draws nothing.
    let token = issued.token.expose();
    assert!(block_on(keys.verifier().verify(token.as_bytes())).is_ok());
    let mut service = ApiKeys::at(&keys, "/");
    let request = Request::post("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<bytes::Bytes>::from(r#"{"name":"n"}"#))
        .unwrap();
    let answer = block_on(service.call(request)).unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    assert_eq!(stored(store), 2);
}

#[test]
fn nothing_is_stored_in_memory_and_an_error_is_answered() {
    nothing_is_stored_in(&(Arc::new(MemoryStore::new()) as Arc<dyn KeyStore>));
}

#[test]
fn nothing_is_stored_in_a_file_and_an_error_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    nothing_is_stored_in(&(Arc::new(store) as Arc<dyn KeyStore>));
}
