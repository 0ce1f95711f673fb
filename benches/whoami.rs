//! Row 10: what the layer adds to a request with a key that was seen before.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

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
use keywright_http_tower::{AuthLayer, Item};
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

    // Both are sent the header, so that both have the same to read.
    let request = |path| -> Arc<str> {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
            .into()
    };
    let requests = [
        ("keywright", request("/v1/whoami")),
        ("no-layer", request("/v1/nobody")),
    ];
    Loopback::serve(router(&keys, verified)).compare(criterion, "whoami", requests);
}

/// The route behind the layer, and the same without it, for a key that is known beforehand.
fn router(keys: &Keywright, known: Verified) -> Router {
    let auth = AuthLayer::new(keys.verifier().clone());
    let known = Arc::new(known);
    let guarded = async |Extension(verified): Extension<Verified>| item(&verified);
    let open = async move || item(&known);
    Router::new()
        .route("/v1/whoami", get(guarded).layer(auth))
        .route("/v1/nobody", get(open))
}

fn item(verified: &Verified) -> Response {
    Json(Item::new(verified.key(), SystemClock::default().now())).into_response()
}
