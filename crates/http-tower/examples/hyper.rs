//! A service on plain hyper, without a framework: `GET /calls` for keys with the permission
//! `calls:read`, and the API key endpoints below `/v1/api-keys`.
//!
//! Run it with `cargo run -p keywright-http-tower --example hyper`. On its first run it creates a
//! key and prints it. It also prints commands to try.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use keywright_core::{Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer, error_response};
use keywright_store_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Serves one guarded route of the host, and the API key endpoints. Returns only on an error.
pub(crate) async fn serve(listener: TcpListener, keys: &Keywright) -> Result<(), Error> {
    let readers = AuthLayer::new(keys.verifier().clone()).require("calls:read".parse()?);
    let calls = readers.layer(tower::service_fn(calls));
    let api_keys = ApiKeys::at(keys, "/v1/api-keys");
    let service = service_fn(move |request: Request<Incoming>| {
        let (calls, api_keys) = (calls.clone(), api_keys.clone());
        async move {
            match request.uri().path() {
                "/calls" => calls.oneshot(request).await,
                path if path.starts_with("/v1/api-keys") => {
                    Ok(api_keys.oneshot(request).await?.map(Either::Left))
                }
                _ => Ok(not_found(&request).map(Either::Left)),
            }
        }
    });
    loop {
        let stream = TokioIo::new(listener.accept().await?.0);
        let mut http = http1::Builder::new();
        let connection = http
            .timer(TokioTimer::new())
            .serve_connection(stream, service.clone());
        // An error ends only this connection, so its result is ignored.
        tokio::spawn(connection);
    }
}

async fn calls(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // `AuthLayer` has put the caller there.
    let caller = request.extensions().get::<Caller>();
    let workspace = caller.map_or("unknown", |caller| caller.workspace().as_str());
    Ok(Response::new(format!("the calls of {workspace}\n").into()))
}

fn not_found(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let message = "there is nothing here";
    error_response(
        StatusCode::NOT_FOUND,
        "not_found",
        message,
        request.headers(),
    )
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
    serve(TcpListener::bind("127.0.0.1:3000").await?, &keys).await
}
