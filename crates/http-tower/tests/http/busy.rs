//! Verification while the hashing pool is busy.

use std::{
    convert::Infallible,
    num::NonZero,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use keywright_core::{
    Argon2Params, Caller, Config, Keywright, MemoryStore, Name, NewKey, Prefix, Scheme, Workspace,
    store::KeyStore,
};
use keywright_http_tower::AuthLayer;
use tower::{Layer, service_fn};

use crate::common::{TestResponse, send};

async fn call(keys: &Keywright, token: &str) -> TestResponse {
    let auth = AuthLayer::new(keys.verifier().clone());
    let service = auth.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    send(service, request).await
}

/// A waker that blocks the thread that calls it until the sender of `gate` is dropped.
///
/// A thread of the hashing pool wakes the future that waits for its hash, so this keeps the thread
/// busy without depending on how long a hash takes.
struct BlockingWaker {
    blocked: mpsc::Sender<()>,
    gate: Mutex<mpsc::Receiver<()>>,
}

impl Wake for BlockingWaker {
    fn wake(self: Arc<Self>) {
        self.blocked.send(()).unwrap();
        assert!(self.gate.lock().unwrap().recv().is_err());
    }
}

#[tokio::test]
async fn a_token_is_rejected_with_503_while_the_hash_queue_is_full_and_accepted_afterwards() {
    let scheme = Scheme::Argon2id(Argon2Params::new(8, 1, 1).unwrap());
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let open = async || {
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(scheme)
            .with_hash_queue(1);
        Keywright::open(config, Arc::clone(&store)).await.unwrap()
    };
    let operator = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let new = || NewKey::new(Name::parse("n").unwrap());
    // Another library creates the key, so that `keys` has not cached it.
    let elsewhere = open().await;
    let issued = elsewhere.issuer().create(&operator, new()).await.unwrap();
    let token = issued.token.expose();
    let other = elsewhere.issuer().create(&operator, new()).await.unwrap();

    let keys = open().await;
    let (release, gate) = mpsc::channel();
    let (blocked, is_blocked) = mpsc::channel();
    let waker = Waker::from(Arc::new(BlockingWaker {
        blocked,
        gate: Mutex::new(gate),
    }));
    // One hash blocks each thread of the pool, which has one thread a core. A verification takes
    // the only place for verifications in the queue.
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut creations = Vec::new();
    for _ in 0..threads {
        let mut creation = Box::pin(keys.issuer().create(&operator, new()));
        // A hash that is ready before its task waits for it wakes no task.
        let mut context = Context::from_waker(&waker);
        while creation.as_mut().poll(&mut context).is_ready() {
            creation = Box::pin(keys.issuer().create(&operator, new()));
        }
        creations.push(creation);
        is_blocked.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let mut waiting = Box::pin(keys.verifier().verify(other.token.expose().as_bytes()));
    let poll = waiting
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());

    let response = call(&keys, token).await;
    assert_eq!(response.status, 503, "{}", response.text);
    assert_eq!(response.header("retry-after"), "1");
    assert_eq!(response.header("www-authenticate"), "");

    drop(release);
    for creation in creations {
        assert!(creation.await.is_ok());
    }
    assert!(waiting.await.is_ok());
    assert_eq!(call(&keys, token).await.status, 200);
}
