//! Tests of the endpoints and the layer as tower services. The test wipes its own requests and
//! responses, so that our code would have left what is found.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use keywright_core::{Issued, MemoryStore, Scheme};
use keywright_http_tower::{ApiKeys, AuthLayer};
use pollster::block_on;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::scenario::{
    ISSUING, Tokens, argon2id, assert_nothing_left, new_key, open, operator, scrub_stack,
};

/// A body in several frames, each of which is wiped when it is dropped.
struct WipedBody(Vec<Bytes>);

impl Body for WipedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Concatenates texts to bytes that are wiped when they are dropped.
fn wiped(parts: &[&str]) -> Bytes {
    let mut text = Zeroizing::new(Vec::with_capacity(1024));
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    assert_eq!(text.capacity(), 1024);
    Bytes::from_owner(text)
}

fn request(method: &str, path: &str, token: &str, body: Vec<Bytes>) -> Request<WipedBody> {
    let authorization = HeaderValue::from_maybe_shared(wiped(&["Bearer ", token])).unwrap();
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(WipedBody(body))
        .unwrap()
}

fn send<S, B>(service: &mut S, request: Request<WipedBody>) -> (StatusCode, Zeroizing<Vec<u8>>)
where
    S: Service<Request<WipedBody>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    scrub_stack();
    block_on(async {
        poll_fn(|context| service.poll_ready(context))
            .await
            .unwrap();
        let (head, body) = service.call(request).await.unwrap().into_parts();
        let mut body = std::pin::pin!(body);
        let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
        while let Some(frame) = body.frame().await {
            text.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
        (head.status, text)
    })
}

/// Borrows the token from a response.
fn token_in(response: &[u8]) -> &str {
    let text = std::str::from_utf8(response).unwrap();
    let (_, rest) = text.split_once(r#""secret":""#).unwrap();
    rest.split_once('"').unwrap().0
}

fn scenario(scheme: Scheme, rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    let keys = open(scheme, Arc::new(MemoryStore::new()), ISSUING);
    let Issued { token, .. } = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    tokens.add(&token, rehearsal);
    let token = token.expose();
    let mut endpoints = ApiKeys::at(&keys, "");
    let mut post =
        |path: &str, body: Vec<Bytes>| send(&mut endpoints, request("POST", path, token, body));

    // A name that JSON escapes and many permissions, so that the response has the maximum length.
    let name = "\\\"".repeat(127);
    let permissions: Vec<String> = (0..64).map(|number| format!("a:{number}")).collect();
    let long = serde_json::json!({
        "name": name,
        "permissions": permissions,
        "metadata": { "m": "\"".repeat(2000) },
    });
    let long = long.to_string();
    for body in [r#"{"name":"n"}"#, &long] {
        let (status, response) = post("/", vec![Bytes::copy_from_slice(body.as_bytes())]);
        assert_eq!(status, 201);
        if rehearsal {
            tokens.add_text(token_in(&response));
        }
        let id = &token_in(&response)["sk_live_".len()..][..16];
        let (status, response) = post(&format!("/key_{id}/rotate"), Vec::new());
        assert_eq!(status, 201);
        if rehearsal {
            tokens.add_text(token_in(&response));
        }
    }

    let half = token.len() / 2;
    let (start, end) = (&token[..half], &token[half..]);
    for body in [
        vec![wiped(&[r#"{"key":""#, token, r#""}"#])],
        // Split, as a slow client sends it.
        vec![wiped(&[r#"{"key":""#, start]), wiped(&[end, r#""}"#])],
        vec![wiped(&[r#"{"key":""#]), wiped(&[token]), wiped(&[r#""}"#])],
    ] {
        let (status, response) = post("/verify", body);
        assert_eq!(status, 200);
        assert!(response.starts_with(br#"{"valid":true"#));
    }
    // A request that is rejected.
    let (status, _) = post(
        "/verify",
        vec![wiped(&[r#"{"x":1,"key":""#, token, r#""}"#])],
    );
    assert_eq!(status, 400);

    let layer = AuthLayer::new(keys.verifier().clone());
    let mut guarded = tower_layer::Layer::layer(&layer, HostRoute);
    assert_eq!(
        send(&mut guarded, request("GET", "/", token, Vec::new())).0,
        200
    );
    assert_eq!(
        send(&mut guarded, request("GET", "/", &token[1..], Vec::new())).0,
        401
    );
    tokens
}

/// A route of the host.
#[derive(Clone)]
struct HostRoute;

impl Service<Request<WipedBody>> for HostRoute {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<WipedBody>) -> Self::Future {
        std::future::ready(Ok(Response::new(Empty::new())))
    }
}

#[test]
fn the_services_leave_no_secret() {
    assert_nothing_left(|rehearsal| scenario(Scheme::HmacSha256, rehearsal));
    assert_nothing_left(|rehearsal| scenario(argon2id(), rehearsal));
}
