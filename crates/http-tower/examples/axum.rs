//! An axum service with API keys: `GET /calls` for keys with the permission `calls:read`, and the
//! API key endpoints below `/v1/api-keys`.
//!
//! Run it with `cargo run -p keywright-http-tower --example axum`. On its first run it creates a
//! key and prints it. It also prints commands to try.

use std::sync::Arc;

use axum::{Extension, Router, routing::get};
use keywright_core::{Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer};
use keywright_store_sqlite::SqliteStore;

type Error = Box<dyn std::error::Error>;

/// Builds the service: one guarded route of the host, and the API key endpoints.
pub(crate) fn app(keys: &Keywright) -> Result<Router, Error> {
    let readers = AuthLayer::new(keys.verifier().clone()).require("calls:read".parse()?);
    Ok(Router::new()
        .route("/calls", get(calls).layer(readers))
        .nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys")))
}

async fn calls(Extension(caller): Extension<Caller>) -> String {
    format!("the calls of {}", caller.workspace())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
    let first = NewKey::new(Name::parse("First key")?);
    if let Some(issued) = keys.issuer().create_first(&operator, first).await? {
        println!("KEY={}", issued.token.expose());
    }
    println!(
        r#"curl http://127.0.0.1:3000/calls -H "Authorization: Bearer $KEY"
curl http://127.0.0.1:3000/v1/api-keys -H "Authorization: Bearer $KEY""#
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&keys)?).await?)
}
