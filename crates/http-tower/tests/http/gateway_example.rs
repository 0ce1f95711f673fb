//! The gateway, in front of a service that shows what it receives.

#[path = "../../examples/gateway.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::net::SocketAddr;

use axum::{Router, extract::Request, routing::any};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

use crate::common::{acme, issue, request, send};

/// Starts a service that responds with the headers that it receives.
async fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let show = async |request: Request| {
        let header = |name: &str| match request.headers().get(name) {
            Some(value) => value.to_str().unwrap().to_owned(),
            None => "-".to_owned(),
        };
        let names = [
            "x-gateway-workspace",
            "x-gateway-key",
            "authorization",
            "x-api-key",
        ];
        format!("{} {}", request.uri().path(), names.map(header).join(" "))
    };
    let app = Router::new().fallback_service(any(show));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_request_with_a_key_is_passed_on_with_its_workspace_and_without_the_key() {
    let (keys, _) = acme().await;
    let app = example::app(&keys, service().await);
    let issued = issue(&keys, "").await;
    let token = issued.token.expose();
    let expected = format!("/orders/7 acme {} - -", issued.key.id);
    let mut by_header = request("POST", "/orders/7", "", Some(&json!({"n": 1})));
    by_header.headers_mut().remove("authorization");
    let value = HeaderValue::from_str(token).unwrap();
    by_header.headers_mut().insert("x-api-key", value);
    let mut forged = request("GET", "/orders/7", token, None);
    for name in ["x-gateway-workspace", "x-gateway-key"] {
        forged
            .headers_mut()
            .append(name, HeaderValue::from_static("forged"));
    }
    for request in [request("GET", "/orders/7", token, None), by_header, forged] {
        let response = send(app.clone(), request).await;
        assert_eq!(
            (response.status, response.text),
            (StatusCode::OK, expected.clone())
        );
    }
}

#[tokio::test]
async fn a_rejected_request_gets_the_body_of_the_gateway_and_is_not_passed_on() {
    let (keys, root) = acme().await;
    // No service has this address, so a request that is passed on gets 502.
    let app = example::app(&keys, SocketAddr::from(([127, 0, 0, 1], 0)));
    let restricted = json!({"name": "n", "allowed_ips": ["192.0.2.1"]});
    let (_, restricted) = root.create(restricted).await;
    for (token, status, kind) in [
        ("x", StatusCode::UNAUTHORIZED, "key_rejected"),
        (&restricted, StatusCode::FORBIDDEN, "network_rejected"),
        (&root.token, StatusCode::BAD_GATEWAY, ""),
    ] {
        let response = send(app.clone(), request("GET", "/", token, None)).await;
        assert_eq!(response.status, status, "{kind}");
        if kind.is_empty() {
            continue;
        }
        let help = "https://acme.example/keys";
        assert_eq!(
            response.json(),
            json!({"error": {"type": kind, "help": help}})
        );
        assert!(
            response
                .header("www-authenticate")
                .starts_with("Bearer realm")
        );
        assert!(!response.header("x-request-id").is_empty());
    }
    let mut missing = request("GET", "/", "", None);
    missing.headers_mut().remove("authorization");
    let response = send(app, missing).await;
    assert_eq!(response.json()["error"]["type"], "key_required");
}
