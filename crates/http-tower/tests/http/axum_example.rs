//! The axum example, which is also the program in the README of the project.

#[path = "../../examples/axum.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use keywright_core::{
    Config, Environment, Key, KeyId, Keywright, MemoryStore, Name, Prefix, Scheme, Timestamp,
    Workspace,
    testing::{self, ManualClock},
};

use crate::common::{issue, library, request, send};

#[tokio::test]
async fn a_key_created_over_http_is_accepted_by_the_guarded_route() {
    let keys = library().await;
    let app = example::app(&keys).unwrap();
    let first = issue(&keys, "*").await;
    let mut request = crate::common::post(
        first.token.expose(),
        r#"{"name":"r","permissions":["calls:read"]}"#,
    );
    *request.uri_mut() = "/v1/api-keys".parse().unwrap();
    let created = send(app.clone(), request).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/v1/api-keys/{id}"));

    let calls = |token: String| {
        let request = Request::get("/calls").header("authorization", format!("Bearer {token}"));
        send(app.clone(), request.body(Body::empty()).unwrap())
    };
    let response = calls(created.json()["secret"].as_str().unwrap().to_owned()).await;
    assert_eq!(response.text, "the calls of acme");
    let other = issue(&keys, "billing:read").await;
    assert_eq!(
        calls(other.token.expose().to_owned()).await.status,
        StatusCode::FORBIDDEN
    );
}

/// The service over a store in memory with one key, whose token is returned.
async fn app_with(change: impl FnOnce(&mut Key)) -> (Router, String, ManualClock) {
    let clock = ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap());
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(clock.clone());
    let store = Arc::new(MemoryStore::new());
    let keys = Keywright::open(config, store).await.unwrap();
    let mut key = Key::new(
        KeyId::parse("key_0U5lKtf600000000").unwrap(),
        Workspace::parse("acme").unwrap(),
        Environment::Live,
        Name::parse("CI").unwrap(),
        "calls:read".parse().unwrap(),
    );
    change(&mut key);
    let token = testing::insert(&keys, key).await.unwrap();
    let token = token.expose().to_owned();
    (example::app(&keys).unwrap(), token, clock)
}

async fn calls(app: &Router, token: &str) -> StatusCode {
    send(app.clone(), request("GET", "/calls", token, None))
        .await
        .status
}

#[tokio::test]
async fn the_guarded_route_rejects_an_expired_key() {
    let day = Duration::from_secs(24 * 60 * 60);
    let end = Timestamp::parse("2030-01-02T00:00:00Z").unwrap();
    let (app, token, clock) = app_with(|key| key.expires_at = Some(end)).await;
    assert_eq!(calls(&app, &token).await, StatusCode::OK);
    clock.advance(day);
    assert_eq!(calls(&app, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_guarded_route_rejects_a_paused_key_and_one_without_the_permission() {
    let (app, token, _) = app_with(|key| key.enabled = false).await;
    assert_eq!(calls(&app, &token).await, StatusCode::UNAUTHORIZED);
    let (app, token, _) = app_with(|key| key.permissions = "calls:write".parse().unwrap()).await;
    assert_eq!(calls(&app, &token).await, StatusCode::FORBIDDEN);
}
