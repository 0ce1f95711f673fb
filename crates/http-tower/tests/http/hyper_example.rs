//! The hyper example, over a socket.

#[path = "../../examples/hyper.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::net::SocketAddr;

use axum::body::Body;
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tower::service_fn;

use crate::common::{TestResponse, issue, library, request, send};

/// Sends a request over a new connection.
async fn call(address: SocketAddr, mut request: Request<Body>) -> TestResponse {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let host = address.to_string().try_into().unwrap();
    request.headers_mut().insert(header::HOST, host);
    let service = service_fn(|request| sender.send_request(request));
    send(service, request).await
}

#[tokio::test]
async fn a_key_created_over_http_is_accepted_by_the_guarded_route() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let keys = library().await;
    let first = issue(&keys, "*").await;
    let token = first.token.expose();
    tokio::spawn(async move { example::serve(listener, &keys).await.unwrap() });
    let body = json!({"name": "r", "permissions": ["calls:read"]});
    let create = request("POST", "/v1/api-keys", token, Some(&body));
    let created = call(address, create).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let path = created.header("location").to_owned();
    let secret = created.json()["secret"].as_str().unwrap().to_owned();

    let calls = call(address, request("GET", "/calls", &secret, None)).await;
    assert_eq!(calls.text, "the calls of acme\n");
    let found = call(address, request("GET", &path, token, None)).await;
    assert_eq!(found.json()["name"], "r");
    for (path, token, status) in [
        ("/calls", "x", StatusCode::UNAUTHORIZED),
        ("/v1/api-keys", secret.as_str(), StatusCode::FORBIDDEN),
        ("/v1/api-keysx", token, StatusCode::NOT_FOUND),
        ("/elsewhere", token, StatusCode::NOT_FOUND),
    ] {
        let response = call(address, request("GET", path, token, None)).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.json()["statusCode"], status.as_u16());
    }
}
