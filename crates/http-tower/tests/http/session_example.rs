//! The example with sessions, called as a browser and as a program call it.

#[path = "../../examples/session.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use keywright_core::{Clock, Config, Keywright, MemoryStore, Prefix, Timestamp};
use serde_json::json;

use crate::common::{TestResponse, library, request, send};

async fn sign_in(app: &Router, user: &str, password: &str) -> TestResponse {
    let request = Request::post("/session")
        .header("content-type", "application/json")
        .body(Body::from(
            json!({"user": user, "password": password}).to_string(),
        ));
    send(app.clone(), request.unwrap()).await
}

async fn list(app: &Router, cookie: &str) -> TestResponse {
    let request = Request::get("/v1/api-keys").header("cookie", cookie);
    send(app.clone(), request.body(Body::empty()).unwrap()).await
}

/// The service, and the cookie of a user who has signed in.
async fn signed_in() -> (Router, String) {
    let app = example::app(&library().await, "open sesame".into()).unwrap();
    let response = sign_in(&app, "ada", "open sesame").await;
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    let (cookie, _) = response.header("set-cookie").split_once(';').unwrap();
    (app, cookie.to_owned())
}

#[tokio::test]
async fn a_key_created_in_a_session_is_accepted_by_the_guarded_route() {
    let (app, cookie) = signed_in().await;
    let create = Request::post("/v1/api-keys")
        .header("cookie", format!("theme=dark; {cookie}"))
        .header("content-type", "application/json")
        .body(Body::from(
            r#"{"name":"reader","permissions":["calls:read"]}"#,
        ));
    let created = send(app.clone(), create.unwrap()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert!(created.json()["parent_id"].is_null());
    let secret = created.json()["secret"].as_str().unwrap().to_owned();

    let calls = send(app.clone(), request("GET", "/calls", &secret, None)).await;
    assert_eq!(calls.text, "the calls of acme\n");
    // The key lacks the permission to list keys, and the guarded route accepts no session.
    let keys = send(app.clone(), request("GET", "/v1/api-keys", &secret, None)).await;
    assert_eq!(keys.status, StatusCode::FORBIDDEN);
    let calls = Request::get("/calls").header("cookie", &cookie);
    let calls = send(app.clone(), calls.body(Body::empty()).unwrap()).await;
    assert_eq!(calls.status, StatusCode::UNAUTHORIZED);
    assert_eq!(list(&app, &cookie).await.json()["meta"]["total"], 1);
}

/// A clock that the test sets.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

#[tokio::test]
async fn a_session_ends_after_eight_hours() {
    let clock = ManualClock(Arc::default());
    let config = Config::new(Prefix::parse("sk").unwrap()).with_clock(clock.clone());
    let store = Arc::new(MemoryStore::new());
    let keys = Keywright::open(config, store).await.unwrap();
    let app = example::app(&keys, "open sesame".into()).unwrap();
    let response = sign_in(&app, "ada", "open sesame").await;
    let (cookie, attributes) = response.header("set-cookie").split_once("; ").unwrap();
    assert!(attributes.contains("Max-Age=28800;"), "{attributes}");
    clock.0.store(28_799_999, Ordering::Relaxed);
    assert_eq!(list(&app, cookie).await.status, StatusCode::OK);
    clock.0.store(28_800_000, Ordering::Relaxed);
    assert_eq!(list(&app, cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_request_without_a_valid_session_cookie_is_rejected() {
    let (app, cookie) = signed_in().await;
    for cookie in [
        "".to_owned(),
        format!("{cookie}0"),
        format!("x{cookie}"),
        "__Host-session=".to_owned(),
        format!("__Host-session={}", "0".repeat(32)),
    ] {
        assert_eq!(
            list(&app, &cookie).await.status,
            StatusCode::UNAUTHORIZED,
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_wrong_user_or_password_starts_no_session() {
    let (app, _) = signed_in().await;
    for (user, password) in [
        ("ada", ""),
        ("ada", "open"),
        ("ada", "open sesamf"),
        ("bob", "open sesame"),
    ] {
        let response = sign_in(&app, user, password).await;
        assert_eq!(
            response.status,
            StatusCode::UNAUTHORIZED,
            "{user} {password}"
        );
        assert_eq!(response.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn the_cookie_is_restricted_to_the_site_and_signing_out_ends_only_its_session() {
    let (app, cookie) = signed_in().await;
    let response = sign_in(&app, "ada", "open sesame").await;
    let attributes: Vec<&str> = response.header("set-cookie").split("; ").collect();
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(attributes.contains(&attribute), "{attribute}");
    }
    assert_ne!(attributes[0], cookie);
    let other = attributes[0];

    let sign_out = Request::delete("/session").header("cookie", &cookie);
    let response = send(app.clone(), sign_out.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert!(response.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(list(&app, &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(list(&app, other).await.status, StatusCode::OK);
}
