//! Fuzzes the `Authorization` header. Only the token of an active key is accepted.

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

/// The maximum length of a header that the layer reads, in bytes.
const MAX_LENGTH: usize = 512;

// The first byte of the input selects the number of headers, and whether each starts with a scheme
// and ends with a token. The rest is the text between.
fuzz_target!(|input: &[u8]| {
    let Some((&flags, text)) = input.split_first() else {
        return;
    };
    let keys = library::open(&Arc::new(MemoryStore::new()));
    let caller = Caller::new(
        Workspace::parse("acme").expect("the workspace is valid"),
        "*".parse().expect("the permissions are valid"),
    );
    let issue = || {
        let new = NewKey::new(Name::parse("n").expect("the name is valid"));
        block_on(keys.issuer().create(&caller, new)).expect("the call succeeds")
    };
    let [active, revoked] = [issue(), issue()];
    block_on(keys.issuer().revoke(&caller, &revoked.key.id, Reach::Key))
        .expect("the call succeeds");

    let mut value = Vec::new();
    if flags & 1 != 0 {
        value.extend_from_slice(b"Bearer ");
    }
    value.extend_from_slice(text);
    match flags & 6 {
        2 => value.extend_from_slice(active.token.expose().as_bytes()),
        4 => value.extend_from_slice(revoked.token.expose().as_bytes()),
        _ => {}
    }
    let Ok(header) = HeaderValue::from_bytes(&value) else {
        return;
    };
    let mut request = Request::new(Full::<Bytes>::default());
    for _ in 0..=(flags >> 3 & 1) {
        request
            .headers_mut()
            .append(header::AUTHORIZATION, header.clone());
    }

    let mut service = AuthLayer::new(keys.verifier().clone()).layer(Inner);
    let response = block_on(service.call(request)).expect("the service is infallible");
    let status = response.status();
    let challenge = response.headers().contains_key(header::WWW_AUTHENTICATE);
    let body = block_on(response.into_body().collect())
        .expect("the body is readable")
        .to_bytes();
    let is_repeated = flags & 8 != 0;
    let expected = if is_repeated || value.len() > MAX_LENGTH {
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

/// Returns the token in a header value according to RFC 6750: the scheme in any case, white space,
/// and the token.
fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let space = rest
        .iter()
        .take_while(|&&byte| byte == b' ' || byte == b'\t')
        .count();
    (scheme.eq_ignore_ascii_case(b"bearer") && space > 0).then(|| &rest[space..])
}

/// The service behind the layer.
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
