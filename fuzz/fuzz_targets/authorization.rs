//! The header with the token: a token that was issued opens what it may, and nothing else opens anything.

#![no_main]

mod library;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_executor::block_on;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use keywright_core::{Caller, MemoryStore, Name, NewKey, Reach, Workspace};
use keywright_http_tower::AuthLayer;
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer;
use tower_service::Service;

/// Longest value that is looked at, in bytes.
const MAX_LENGTH: usize = 512;

// The first byte says how many headers there are and whether each begins with a scheme and ends with a
// token; the rest is what stands between.
fuzz_target!(|input: &[u8]| {
    let Some((&how, text)) = input.split_first() else {
        return;
    };
    let keys = library::open(&Arc::new(MemoryStore::new()));
    let caller = Caller::new(
        Workspace::parse("acme").expect("a workspace"),
        "*".parse().expect("permissions"),
    );
    let issue = || {
        let new = NewKey::new(Name::parse("n").expect("a name"));
        block_on(keys.issuer().create(&caller, new)).expect("a key")
    };
    let [active, revoked] = [issue(), issue()];
    block_on(keys.issuer().revoke(&caller, &revoked.key.id, Reach::Key)).expect("a key");

    let mut value = Vec::new();
    if how & 1 != 0 {
        value.extend_from_slice(b"Bearer ");
    }
    value.extend_from_slice(text);
    match how & 6 {
        2 => value.extend_from_slice(active.token.expose().as_bytes()),
        4 => value.extend_from_slice(revoked.token.expose().as_bytes()),
        _ => {}
    }
    let Ok(header) = HeaderValue::from_bytes(&value) else {
        return;
    };
    let mut request = Request::new(Full::<Bytes>::default());
    for _ in 0..=(how >> 3 & 1) {
        request
            .headers_mut()
            .append(header::AUTHORIZATION, header.clone());
    }

    let mut service = AuthLayer::new(keys.verifier().clone()).layer(Inner);
    let answer = block_on(service.call(request)).expect("an answer");
    let status = answer.status();
    let challenge = answer.headers().contains_key(header::WWW_AUTHENTICATE);
    let body = block_on(answer.into_body().collect())
        .expect("a body")
        .to_bytes();
    let twice = how & 8 != 0;
    let expected = if twice || value.len() > MAX_LENGTH {
        StatusCode::BAD_REQUEST
    } else if token(&value) == Some(active.token.expose().as_bytes()) {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    assert_eq!(status, expected, "{header:?}");
    assert!(challenge || status != StatusCode::UNAUTHORIZED);
    for secret in [&active, &revoked].map(|issued| &issued.token.expose().as_bytes()[30..]) {
        assert!(!body.windows(secret.len()).any(|window| window == secret));
    }
});

/// What RFC 6750 makes of a value: the scheme in any case, white space, and the token.
fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let space = rest
        .iter()
        .take_while(|&&byte| byte == b' ' || byte == b'\t')
        .count();
    (scheme.eq_ignore_ascii_case(b"bearer") && space > 0).then(|| &rest[space..])
}

/// What is guarded.
#[derive(Clone)]
struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}
