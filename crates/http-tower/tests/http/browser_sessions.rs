//! `ApiKeys::from_browser_sessions`: no other site can make changes in the session of a browser.

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{Caller, Keywright, Permissions, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer};
use tower::Layer;

use crate::common::{TestResponse, issue, library, send};

fn caller() -> Caller {
    Caller::new(Workspace::parse("acme").unwrap(), Permissions::all())
}

fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

/// Creates a key in a session, with these headers.
async fn create(keys: &Keywright, headers: &[(&str, &str)]) -> TestResponse {
    let mut request = request("POST", "/", headers, r#"{"name":"n"}"#);
    request.extensions_mut().insert(caller());
    send(ApiKeys::nested(keys, "").from_browser_sessions(), request).await
}

const JSON: (&str, &str) = ("content-type", "application/json");
const HOST: (&str, &str) = ("host", "acme.example");

#[tokio::test]
async fn a_page_of_the_same_origin_can_make_changes() {
    let keys = library().await;
    for headers in [
        &[JSON, ("sec-fetch-site", "same-origin")][..],
        // `Sec-Fetch-Site` decides, because a page cannot change it.
        &[
            JSON,
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://other.example"),
            HOST,
        ],
        &[JSON, ("origin", "https://acme.example"), HOST],
        &[
            JSON,
            ("origin", "https://acme.example"),
            ("host", "ACME.example:443"),
        ],
        &[
            JSON,
            ("origin", "http://acme.example"),
            ("host", "acme.example:80"),
        ],
        &[
            JSON,
            ("origin", "http://acme.example:3000"),
            ("host", "acme.example:3000"),
        ],
        &[
            JSON,
            ("origin", "http://[::1]:3000"),
            ("host", "[::1]:3000"),
        ],
    ] {
        let response = create(&keys, headers).await;
        assert_eq!(response.status, StatusCode::CREATED, "{headers:?}");
    }
}

#[tokio::test]
async fn a_request_that_another_site_can_cause_changes_nothing() {
    let keys = library().await;
    for headers in [
        &[JSON][..],
        &[JSON, HOST],
        &[JSON, ("sec-fetch-site", "cross-site")],
        &[
            JSON,
            ("sec-fetch-site", "same-site"),
            ("origin", "https://acme.example"),
            HOST,
        ],
        &[JSON, ("sec-fetch-site", "none")],
        &[
            JSON,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[JSON, ("origin", "null"), HOST],
        &[JSON, ("origin", "https://acme.example")],
        &[JSON, ("origin", "https://other.example"), HOST],
        &[JSON, ("origin", "https://acme.example.evil.example"), HOST],
        &[JSON, ("origin", "https://acme.example:8443"), HOST],
        &[
            JSON,
            ("origin", "https://acme.example"),
            ("origin", "https://acme.example"),
            HOST,
        ],
        &[
            JSON,
            ("origin", "https://acme.example"),
            HOST,
            ("host", "other.example"),
        ],
        &[JSON, ("origin", "chrome-extension://acme.example"), HOST],
    ] {
        let response = create(&keys, headers).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(response.json()["code"], "cross_origin", "{headers:?}");
        assert_ne!(response.header("x-request-id"), "");
    }
    // A page can send a form to another site, but not JSON without a preflight.
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("content-type", media_type),
        ];
        let response = create(&keys, &headers).await;
        assert_eq!(
            response.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{media_type}"
        );
    }
    let response = create(&keys, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let page = keys
        .issuer()
        .list(&caller(), keywright_core::ListKeys::new())
        .await
        .unwrap();
    assert_eq!(page.keys.len(), 0);
}

#[tokio::test]
async fn every_unsafe_method_is_checked_and_no_safe_one() {
    let keys = library().await;
    let id = issue(&keys, "*").await.key.id;
    let key = format!("/{id}");
    let rotate = format!("/{id}/rotate");
    let unsafe_requests = [
        ("POST", "/"),
        ("PATCH", &key),
        ("DELETE", &key),
        ("POST", &rotate),
        ("POST", "/verify"),
    ];
    for (method, path, expected) in unsafe_requests
        .map(|(method, path)| (method, path, StatusCode::FORBIDDEN))
        .into_iter()
        .chain([
            ("GET", "/", StatusCode::OK),
            ("HEAD", key.as_str(), StatusCode::OK),
            ("OPTIONS", key.as_str(), StatusCode::NO_CONTENT),
        ])
    {
        let mut request = request(method, path, &[JSON, ("sec-fetch-site", "cross-site")], "");
        request.extensions_mut().insert(caller());
        let response = send(ApiKeys::nested(&keys, "").from_browser_sessions(), request).await;
        assert_eq!(response.status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_program_with_a_key_needs_none_of_the_headers_of_a_browser() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token;
    let bearer = format!("Bearer {}", token.expose());
    let headers = [JSON, ("authorization", bearer.as_str())];
    let service = ApiKeys::nested(&keys, "").from_browser_sessions();
    let create = || request("POST", "/", &headers, r#"{"name":"n"}"#);
    assert_eq!(
        send(service.clone(), create()).await.status,
        StatusCode::CREATED
    );
    // A layer of the host has already verified the key.
    let layered = AuthLayer::new(keys.verifier().clone()).layer(service);
    assert_eq!(send(layered, create()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_request_over_http_2_names_its_host_in_the_uri() {
    let keys = library().await;
    for (origin, status) in [
        ("https://acme.example", StatusCode::CREATED),
        ("https://other.example", StatusCode::FORBIDDEN),
    ] {
        let uri = "https://acme.example/";
        let mut request = request("POST", uri, &[JSON, ("origin", origin)], r#"{"name":"n"}"#);
        request.extensions_mut().insert(caller());
        let response = send(ApiKeys::nested(&keys, "").from_browser_sessions(), request).await;
        assert_eq!(response.status, status, "{origin}");
    }
}
