//! The decision for a proxy whether a request may pass.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, Request, StatusCode, Version};
use http_body::Frame;
use keywright_core::{Caller, Environment, Keywright, Name, NewKey, Workspace};
use keywright_http_tower::{AuthLayer, ForwardAuth};

use crate::common::{TestResponse, issue, library, request, send};

fn layer(keys: &Keywright) -> AuthLayer {
    AuthLayer::new(keys.verifier().clone())
}

/// Returns the response to a request with this query.
async fn decide(keys: &Keywright, method: &str, query: &str, token: &str) -> TestResponse {
    let request = request(method, &format!("/v1/auth{query}"), token, None);
    send(ForwardAuth::new(layer(keys)), request).await
}

/// Returns the headers that name the caller: key, workspace, owner and environment.
fn identity(response: &TestResponse) -> [Option<&str>; 4] {
    let header = |name: HeaderName| {
        let value = response.headers.get(name);
        value.map(|value| value.to_str().unwrap())
    };
    [
        header(ForwardAuth::KEY_ID),
        header(ForwardAuth::WORKSPACE),
        header(ForwardAuth::OWNER),
        header(ForwardAuth::ENVIRONMENT),
    ]
}

#[tokio::test]
async fn a_request_with_a_valid_key_passes_with_the_identity_of_the_caller() {
    let keys = library().await;
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap())
        .with_owner("user:42,~%=\"".parse().unwrap());
    let new = NewKey::new(Name::parse("n").unwrap()).with_environment(Environment::Test);
    let owned = keys.issuer().create(&caller, new).await.unwrap();
    let plain = issue(&keys, "calls:read").await;
    for (issued, owner, environment) in [
        (&owned, "user:42,~%=\"", "test"),
        // The header is present, so that it replaces a header that the client has sent.
        (&plain, "", "live"),
    ] {
        let id = issued.key.id.to_string();
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let response = decide(&keys, method, "", issued.token.expose()).await;
            assert_eq!(response.status, StatusCode::OK, "{method}");
            assert_eq!(response.text, "");
            let expected = [&*id, "acme", owner, environment].map(Some);
            assert_eq!(identity(&response), expected);
            assert_eq!(response.header("cache-control"), "no-store");
            assert_ne!(response.header("x-request-id"), "");
        }
    }
}

#[tokio::test]
async fn a_rejection_is_that_of_the_layer_and_names_no_caller() {
    let keys = library().await;
    let issued = issue(&keys, "calls:read").await;
    let token = issued.token.expose();
    for (query, token, status, code) in [
        ("", "", 401, "invalid_token"),
        ("?permission=calls:read", "x", 401, "invalid_token"),
        ("?permission=calls:write", token, 403, "insufficient_scope"),
        ("?permission=*", token, 403, "insufficient_scope"),
        (
            "?permission=calls:read&permission=calls:write",
            token,
            403,
            "insufficient_scope",
        ),
        ("?permision=calls:read", token, 400, "validation_failed"),
        ("?permission=", token, 400, "validation_failed"),
        // A mistake in the configuration is visible without a key.
        ("?permission=", "", 400, "validation_failed"),
    ] {
        let response = decide(&keys, "GET", query, token).await;
        assert_eq!(response.status, status, "{query}");
        assert_eq!(response.json()["code"], code, "{query}");
        assert_eq!(identity(&response), [None; 4]);
        let challenge = response.header("www-authenticate");
        assert_eq!(!challenge.is_empty(), status != 400, "{query}");
    }
    let response = decide(&keys, "GET", "?permission=a&permission=b", token).await;
    assert_eq!(
        response.header("www-authenticate"),
        r#"Bearer realm="api", error="insufficient_scope", scope="a""#
    );
    for query in [
        "?permission=calls:read",
        "?permission=calls:read&uri=/calls?permission=calls:write&x=y",
    ] {
        let response = decide(&keys, "GET", query, token).await;
        assert_eq!(response.status, StatusCode::OK, "{query}");
    }
}

#[tokio::test]
async fn no_setting_of_the_layer_turns_a_rejection_into_a_success() {
    let keys = library().await;
    let lenient = layer(&keys)
        .optional()
        .allow_preflight()
        .for_grpc()
        .on_reject(|_, _, mut response| {
            *response.status_mut() = StatusCode::OK;
            response
        });
    let requests = [
        Request::get("/"),
        Request::options("/")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "GET"),
        Request::post("/")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc"),
    ];
    for request in requests {
        let request = request.body(Body::empty()).unwrap();
        let response = send(ForwardAuth::new(lenient.clone()), request).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(response.json()["code"], "missing_token");
    }
}

/// A body that must not be read.
struct Unread;

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        unreachable!("the service reads the body")
    }
}

#[tokio::test]
async fn no_request_follows_one_with_a_body_on_its_connection() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    for (token, status) in [(issued.token.expose(), 200), ("x", 401)] {
        for (version, connection) in [(Version::HTTP_11, "close"), (Version::HTTP_2, "")] {
            let request = Request::post("/")
                .version(version)
                .header("authorization", format!("Bearer {token}"))
                .body(Body::new(Unread))
                .unwrap();
            let response = send(ForwardAuth::new(layer(&keys)), request).await;
            assert_eq!(response.status, status);
            assert_eq!(response.header("connection"), connection);
        }
    }
    let response = decide(&keys, "POST", "", issued.token.expose()).await;
    assert_eq!(response.header("connection"), "");
}
