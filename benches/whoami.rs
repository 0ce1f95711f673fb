//! Row 10: the cost of the auth layer for a request with a cached key.
//!
//! Most of a request is HTTP and system calls. The ratio is between 0.92 and 0.96 in runs on an
//! idle machine, so the row is met in some and missed in others.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

#[expect(dead_code, reason = "another benchmark uses the rest")]
mod loopback;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use criterion::Criterion;
use futures_executor::block_on;
use keywright_benches::run;
use keywright_core::{
    Caller, Clock, Config, Keywright, Name, NewKey, Prefix, Scheme, SystemClock, Verified,
    Workspace,
};
use keywright_http_tower::{AuthLayer, KeyView};
use keywright_store_sqlite::SqliteStore;

use self::loopback::Loopback;

fn main() {
    run(whoami);
}

fn whoami(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = block_on(Keywright::open(config, Arc::new(store))).unwrap();
    let permissions = "api_keys:write,calls:*".parse().unwrap();
    let operator = Caller::new(Workspace::parse("default").unwrap(), permissions);
    let new = NewKey::new(Name::parse("a name of 20 letters").unwrap());
    let issued = block_on(keys.issuer().create(&operator, new)).unwrap();
    let token = issued.token.expose();
    let verified = block_on(keys.verifier().verify(token.as_bytes())).unwrap();

    // Both requests have the header, so that the server reads the same number of bytes.
    let request = |path| -> Arc<str> {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
            .into()
    };
    let requests = [
        ("keywright", request("/v1/whoami")),
        ("no-layer", request("/v1/no-auth")),
    ];
    Loopback::serve(router(&keys, verified)).compare(criterion, "whoami", requests);
}

/// Returns a router with the same route behind the layer and without the layer. The route without
/// the layer always returns `verified`.
fn router(keys: &Keywright, verified: Verified) -> Router {
    let auth = AuthLayer::new(keys.verifier().clone());
    let verified = Arc::new(verified);
    let guarded = async |Extension(verified): Extension<Verified>| item(&verified);
    let open = async move || item(&verified);
    Router::new()
        .route("/v1/whoami", get(guarded).layer(auth))
        .route("/v1/no-auth", get(open))
}

fn item(verified: &Verified) -> Response {
    Json(KeyView::new(verified.key(), SystemClock::default().now())).into_response()
}
