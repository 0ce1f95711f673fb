//! Row 11: creating a key over HTTP, durable before the response is sent.
//!
//! In the samples of `perf`, the thread that writes to SQLite takes 31 %, of which the sync is 5.
//! The threads of the server take 54 %: 19 in the kernel, 11 in memory management and copying, and
//! 24 in the rest, of which no function takes more than 1. The client takes 13 %. The echo has the
//! kernel and the client in common with a creation.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

#[expect(dead_code, reason = "another benchmark uses the rest")]
mod loopback;

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, http::StatusCode, routing::post};
use criterion::Criterion;
use futures_executor::block_on;
use keywright_benches::run;
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Prefix, Scheme, Workspace, store::KeyStore,
};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::loopback::Loopback;

const BODY: &str = r#"{"name":"a name of 20 letters","permissions":["calls:read","calls:write"]}"#;

fn main() {
    run(create_over_http);
}

fn create_over_http(criterion: &mut Criterion) {
    // On the disk of the target folder. On many machines `/tmp` is in memory, where syncs are free.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let config = || Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = block_on(Keywright::open(config(), Arc::clone(&store))).unwrap();
    let without = config().with_event_retention(Duration::ZERO);
    let without = block_on(Keywright::open(without, store)).unwrap();
    let permissions = "api_keys:write,calls:*".parse().unwrap();
    let operator = Caller::new(Workspace::parse("default").unwrap(), permissions);
    let new = NewKey::new(Name::parse("the creator").unwrap());
    let issued = block_on(keys.issuer().create(&operator, new)).unwrap();
    let token = issued.token.expose();

    let request = |path| -> Arc<str> {
        let length = BODY.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{BODY}"
        )
        .into()
    };
    let (create, echo) = (request("/v1/api-keys"), request("/v1/jsonecho"));
    let create_without = request("/v2/api-keys");
    let endpoints = Router::new()
        .route_service("/v1/api-keys", ApiKeys::at(&keys, "/v1/api-keys"))
        .route_service("/v2/api-keys", ApiKeys::at(&without, "/v2/api-keys"));
    let length = Loopback::serve(endpoints.clone()).body(&create).len();
    let echo_route = post(move |body| echo_padded(body, length));
    let endpoints = endpoints.route("/v1/jsonecho", echo_route);
    let requests = [
        ("keywright", create),
        ("without-events", create_without),
        ("axum-echo", echo),
    ];
    Loopback::serve(endpoints).compare(criterion, "create-over-http", requests);
}

/// Responds with the request body, padded to this length.
async fn echo_padded(Json(body): Json<Value>, length: usize) -> (StatusCode, Json<Value>) {
    let around = r#"{"body":,"rest":""}"#.len() + BODY.len();
    let rest = "x".repeat(length.saturating_sub(around));
    (
        StatusCode::CREATED,
        Json(json!({"body": body, "rest": rest})),
    )
}
