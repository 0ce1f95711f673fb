//! A gateway in front of another service. It verifies the API key of each request and passes the
//! request on with the workspace and the id of the key. It serves no API key endpoints: keys are
//! created elsewhere, in the same store. Its errors have a body that the library does not know.
//!
//! Run it with `cargo run -p keywright-http-tower --example gateway`. It passes requests on to
//! 127.0.0.1:8080.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keywright_core::{Caller, Config, Keywright, Prefix};
use keywright_http_tower::{AuthLayer, Rejection};
use keywright_store_sqlite::SqliteStore;
use serde_json::json;
use tokio::net::TcpStream;

type Error = Box<dyn std::error::Error + Send + Sync>;

const WORKSPACE: HeaderName = HeaderName::from_static("x-gateway-workspace");
const KEY: HeaderName = HeaderName::from_static("x-gateway-key");

/// Builds the gateway in front of the service at this address.
pub(crate) fn app(keys: &Keywright, service: SocketAddr) -> Router {
    let auth = AuthLayer::new(keys.verifier().clone())
        .also_header(HeaderName::from_static("x-api-key"))
        .on_reject(|rejection, _, response| {
            let body =
                json!({"error": {"type": kind(rejection), "help": "https://acme.example/keys"}});
            // The status, `WWW-Authenticate`, `Retry-After` and `X-Request-Id` stay.
            response.map(|_| Full::from(body.to_string()))
        });
    Router::new()
        .fallback_service(any(pass_on).with_state(service))
        .layer(auth)
}

/// Returns the name of an error that the clients of this gateway know.
const fn kind(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::Missing => "key_required",
        Rejection::Denied => "key_rejected",
        Rejection::AddressNotAllowed => "network_rejected",
        Rejection::Undecided(_) => "try_again",
        _ => "request_rejected",
    }
}

/// Passes a request on, without the API key.
async fn pass_on(
    State(service): State<SocketAddr>,
    Extension(caller): Extension<Caller>,
    mut request: Request,
) -> Response {
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    headers.remove("x-api-key");
    // The client cannot choose these, because they are replaced.
    headers.remove(WORKSPACE);
    headers.remove(KEY);
    let names = [
        (WORKSPACE, Some(caller.workspace().to_string())),
        (KEY, caller.key().map(ToString::to_string)),
    ];
    for (name, value) in names {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    match send(service, request).await {
        Ok(response) => response,
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Sends a request over a new connection.
async fn send(service: SocketAddr, request: Request) -> Result<Response, Error> {
    let stream = TokioIo::new(TcpStream::connect(service).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    Ok(response.map(Body::new))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(&keys, SocketAddr::from(([127, 0, 0, 1], 8080)));
    Ok(axum::serve(listener, app).await?)
}
