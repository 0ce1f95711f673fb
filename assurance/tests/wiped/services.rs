//! The endpoints and the layer, as tower services, with requests and answers that wipe themselves: what
//! is left then is ours.

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

use crate::scene::{
    ISSUING, Tokens, argon2id, assert_nothing_left, new_key, open, operator, scrub_stack,
};

/// Pieces of a body, each of which is wiped when it is dropped.
struct Pieces(Vec<Bytes>);

impl Body for Pieces {
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

/// Bytes that are wiped when they are dropped.
fn wiped(parts: &[&str]) -> Bytes {
    let mut text = Zeroizing::new(Vec::with_capacity(1024));
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    assert_eq!(text.capacity(), 1024);
    Bytes::from_owner(text)
}

fn request(method: &str, path: &str, token: &str, body: Vec<Bytes>) -> Request<Pieces> {
    let authorization = HeaderValue::from_maybe_shared(wiped(&["Bearer ", token])).unwrap();
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Pieces(body))
        .unwrap()
}

fn send<S, B>(service: &mut S, request: Request<Pieces>) -> (StatusCode, Zeroizing<Vec<u8>>)
where
    S: Service<Request<Pieces>, Response = Response<B>, Error = Infallible>,
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

/// The token in an answer, where it stands there.
fn token_in(answer: &[u8]) -> &str {
    let text = std::str::from_utf8(answer).unwrap();
    let (_, rest) = text.split_once(r#""secret":""#).unwrap();
    rest.split_once('"').unwrap().0
}

fn scene(scheme: Scheme, rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    let keys = open(scheme, Arc::new(MemoryStore::new()), ISSUING);
    let Issued { token, .. } = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    tokens.note(&token, rehearsal);
    let token = token.expose();
    let mut endpoints = ApiKeys::at(&keys, "");
    let mut post =
        |path: &str, body: Vec<Bytes>| send(&mut endpoints, request("POST", path, token, body));

    // Names that are escaped, and permissions, so that the answer is as long as it can be.
    let name = "\\\"".repeat(127);
    let permissions: Vec<String> = (0..64).map(|number| format!("a:{number}")).collect();
    let long = serde_json::json!({
        "name": name,
        "permissions": permissions,
        "metadata": { "m": "\"".repeat(2000) },
    });
    let long = long.to_string();
    for body in [r#"{"name":"n"}"#, &long] {
        let (status, answer) = post("/", vec![Bytes::copy_from_slice(body.as_bytes())]);
        assert_eq!(status, 201);
        if rehearsal {
            tokens.note_text(token_in(&answer));
        }
        let id = &token_in(&answer)["sk_live_".len()..][..16];
        let (status, answer) = post(&format!("/key_{id}/rotate"), Vec::new());
        assert_eq!(status, 201);
        if rehearsal {
            tokens.note_text(token_in(&answer));
        }
    }

    let half = token.len() / 2;
    let (start, end) = (&token[..half], &token[half..]);
    for body in [
        vec![wiped(&[r#"{"key":""#, token, r#""}"#])],
        // As a slow client sends it.
        vec![wiped(&[r#"{"key":""#, start]), wiped(&[end, r#""}"#])],
        vec![wiped(&[r#"{"key":""#]), wiped(&[token]), wiped(&[r#""}"#])],
    ] {
        let (status, answer) = post("/verify", body);
        assert_eq!(status, 200);
        assert!(answer.starts_with(br#"{"valid":true"#));
    }
    // One that is refused.
    let (status, _) = post(
        "/verify",
        vec![wiped(&[r#"{"x":1,"key":""#, token, r#""}"#])],
    );
    assert_eq!(status, 400);

    let layer = AuthLayer::new(keys.verifier().clone());
    let mut guarded = tower_layer::Layer::layer(&layer, Hello);
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
struct Hello;

impl Service<Request<Pieces>> for Hello {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Pieces>) -> Self::Future {
        std::future::ready(Ok(Response::new(Empty::new())))
    }
}

#[test]
fn between_requests_and_answers_that_wipe_themselves_nothing_is_left() {
    assert_nothing_left(|rehearsal| scene(Scheme::HmacSha256, rehearsal));
    assert_nothing_left(|rehearsal| scene(argon2id(), rehearsal));
}
