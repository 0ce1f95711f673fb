//! Tests with a source of random bytes that fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, header};
use http_body_util::Full;
use keywright_core::{
    Config, Entropy, Environment, IdempotencyKey, IssueError, Keywright, ListKeys, MemoryStore,
    Name, NewKey, NewRotation, OpenError, OsEntropy, Prefix, Scheme, Timestamp, error::RandomError,
    store::KeyStore,
};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use pollster::block_on;
use tower_service::Service;

use crate::unique::operator;

/// A source that succeeds this many times and then fails, with a seed that is half filled.
struct LimitedEntropy(Arc<AtomicUsize>);

impl Entropy for LimitedEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_err() {
            seed[..16].fill(7);
            return Err(RandomError::new("no random bytes"));
        }
        OsEntropy::default().fill(seed)
    }
}

fn open(store: &Arc<dyn KeyStore>, seeds: &Arc<AtomicUsize>) -> Result<Keywright, OpenError> {
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_entropy(LimitedEntropy(Arc::clone(seeds)));
    block_on(Keywright::open(config, Arc::clone(store)))
}

fn stored_keys(store: &Arc<dyn KeyStore>) -> usize {
    let all = ListKeys::new().with_limit(100);
    let now = Timestamp::from_millis(0).unwrap();
    block_on(store.list(operator().workspace(), Environment::Live, &all, now))
        .unwrap()
        .keys
        .len()
}

fn new_key() -> NewKey {
    NewKey::new(Name::parse("n").unwrap())
}

fn assert_nothing_is_stored(store: &Arc<dyn KeyStore>) {
    let seeds = Arc::new(AtomicUsize::new(0));
    assert!(matches!(open(store, &seeds), Err(OpenError::Random(_))));
    // Opening the library draws one seed, for the MAC key of the cache.
    seeds.store(1, Ordering::SeqCst);
    let keys = open(store, &seeds).unwrap();
    let (issuer, operator) = (keys.issuer(), operator());
    let fails = |outcome: Result<(), IssueError>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, IssueError::Random(_)), "{error:?}");
    };
    let once = IdempotencyKey::parse("once").unwrap();
    fails(block_on(issuer.create(&operator, new_key())).map(|_| ()));
    fails(block_on(issuer.create_first(&operator, new_key())).map(|_| ()));
    fails(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).map(|_| ()));
    // There is a seed for the id, which the idempotency key is bound to, and none for the secret.
    seeds.store(1, Ordering::SeqCst);
    fails(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).map(|_| ()));
    seeds.store(1, Ordering::SeqCst);
    fails(block_on(issuer.create_first(&operator, new_key())).map(|_| ()));
    assert!(block_on(store.is_empty()).unwrap());

    // There are seeds for the id and for the secret, and none for the id of the event.
    seeds.store(2, Ordering::SeqCst);
    fails(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).map(|_| ()));
    assert!(block_on(store.is_empty()).unwrap());

    // With random bytes again, the repeated request succeeds.
    seeds.store(3, Ordering::SeqCst);
    assert!(block_on(issuer.create_once(&operator, new_key(), &once, b"{}")).is_ok());
    seeds.store(2, Ordering::SeqCst);
    let issued = block_on(issuer.create(&operator, new_key())).unwrap();
    assert_eq!(stored_keys(store), 2);
    // A failed rotation leaves the key unchanged.
    let before = block_on(store.find(&issued.key.id)).unwrap();
    fails(block_on(issuer.rotate(&operator, &issued.key.id, &NewRotation::new())).map(|_| ()));
    assert_eq!(block_on(store.find(&issued.key.id)).unwrap(), before);

    // Verification needs no random bytes.
    let token = issued.token.expose();
    assert!(block_on(keys.verifier().verify(token.as_bytes())).is_ok());
    let mut service = ApiKeys::at(&keys, "/");
    let request = Request::post("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<bytes::Bytes>::from(r#"{"name":"n"}"#))
        .unwrap();
    let response = block_on(service.call(request)).unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert_eq!(stored_keys(store), 2);
}

#[test]
fn without_random_bytes_the_memory_store_stays_empty_and_calls_fail() {
    assert_nothing_is_stored(&(Arc::new(MemoryStore::new()) as Arc<dyn KeyStore>));
}

#[test]
fn without_random_bytes_the_sqlite_store_stays_empty_and_calls_fail() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    assert_nothing_is_stored(&(Arc::new(store) as Arc<dyn KeyStore>));
}
