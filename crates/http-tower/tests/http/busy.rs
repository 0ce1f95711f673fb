//! More first verifications at once than may wait.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use http::{Request, Response};
use keywright_core::{
    Argon2Params, Caller, Config, KeyStore, Keywright, MemoryStore, Name, NewKey, Prefix, Scheme,
    Workspace,
};
use keywright_http_tower::AuthLayer;
use tower::{Layer, service_fn};

use crate::common::{Answer, send};

async fn ask(keys: &Keywright, token: &str) -> Answer {
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

#[tokio::test]
async fn what_cannot_wait_for_argon2_is_told_to_ask_again_and_then_let_in() {
    let dear = Scheme::Argon2id(Argon2Params::new(64 * 1024, 2, 1).unwrap());
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let open = async |queue| {
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(dear)
            .with_hash_queue(queue);
        Keywright::open(config, Arc::clone(&store)).await.unwrap()
    };
    let maker = open(64).await;
    let operator = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let mut tokens = Vec::new();
    let cores = std::thread::available_parallelism().unwrap().get();
    for _ in 0..cores + 4 {
        let new = NewKey::new(Name::parse("n").unwrap());
        let issued = maker.issuer().create(&operator, new).await.unwrap();
        tokens.push(issued.token.expose().to_owned());
    }

    let keys = open(1).await;
    let asked: Vec<_> = tokens
        .iter()
        .map(|token| {
            let (keys, token) = (keys.clone(), token.clone());
            tokio::spawn(async move { ask(&keys, &token).await })
        })
        .collect();
    let mut refused = 0;
    for asked in asked {
        let answer = asked.await.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.header("www-authenticate"), "");
            refused += 1;
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    assert!(refused > 0);
    for token in &tokens {
        assert_eq!(ask(&keys, token).await.status, 200);
    }
}
