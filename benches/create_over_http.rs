//! Row 11: creating a key over HTTP that is on the disk when the answer comes.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

mod loopback;

use std::sync::Arc;

use axum::{Json, Router, http::StatusCode, routing::post};
use criterion::Criterion;
use futures_executor::block_on;
use keywright_benches::run;
use keywright_core::{Caller, Config, Keywright, Name, NewKey, Prefix, Scheme, Workspace};
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
    // On the disk that is built on: `/tmp` is memory on many machines, where durability costs nothing.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = block_on(Keywright::open(config, Arc::new(store))).unwrap();
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
    let endpoints = Router::new().route_service("/v1/api-keys", ApiKeys::at(&keys, "/v1/api-keys"));
    let length = Loopback::serve(endpoints.clone()).body(&create).len();
    let echoes = post(move |body| echoed(body, length));
    let endpoints = endpoints.route("/v1/jsonecho", echoes);
    let requests = [("keywright", create), ("axum-echo", echo)];
    Loopback::serve(endpoints).compare(criterion, "create-over-http", requests);
}

/// The body, and as much beside it as makes the answer that long.
async fn echoed(Json(body): Json<Value>, length: usize) -> (StatusCode, Json<Value>) {
    let around = r#"{"body":,"rest":""}"#.len() + BODY.len();
    let rest = "x".repeat(length.saturating_sub(around));
    (
        StatusCode::CREATED,
        Json(json!({"body": body, "rest": rest})),
    )
}
