//! The addresses from which a key may be used, at the layer and at the endpoints.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Extension, Router,
    body::Body,
    extract::ConnectInfo,
    routing::{get, post},
};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use keywright_core::{Caller, Keywright};
use keywright_http_tower::{ApiKeys, AuthLayer, ClientIp, ClientIpLayer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tower::service_fn;

use crate::common::{TestResponse, acme, request, send};

/// A service of a host behind a proxy with an address in 10.0.0.0/8.
fn app(keys: &Keywright) -> Router {
    let client_ip = ClientIpLayer::trusting("10.0.0.0/8".parse().unwrap());
    let auth = AuthLayer::new(keys.verifier().clone());
    let calls = async |Extension(caller): Extension<Caller>| caller.workspace().to_string();
    Router::new()
        .route("/calls", get(calls).layer(auth.clone()))
        .route("/grpc", post("unused").layer(auth.for_grpc()))
        .nest_service("/keys", ApiKeys::nested(keys, "/keys"))
        .layer(client_ip)
}

/// Sends a request from a peer. The address of a peer is in the extension that the host sets.
async fn from(
    app: &Router,
    peer: Option<&str>,
    mut request: Request<Body>,
    headers: &[(&'static str, &str)],
) -> TestResponse {
    if let Some(peer) = peer {
        let address: IpAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ClientIp(address));
    }
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    send(app.clone(), request).await
}

#[tokio::test]
async fn a_restricted_key_is_accepted_only_from_its_addresses() {
    let (keys, root) = acme().await;
    let app = app(&keys);
    let body = json!({"name": "n", "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"]});
    let (_, token) = root.create(body).await;
    let forged = "192.0.2.1";
    for (peer, headers, accepted) in [
        (Some("192.0.2.1"), &[][..], true),
        (Some("::ffff:192.0.2.1"), &[], true),
        (Some("2001:db8::1"), &[], true),
        (Some("198.51.100.1"), &[], false),
        (Some("::1"), &[], false),
        (None, &[], false),
        // A forged header, from anywhere but the proxy.
        (Some("198.51.100.1"), &[("x-forwarded-for", forged)], false),
        (
            Some("198.51.100.1"),
            &[("forwarded", "for=192.0.2.1")],
            false,
        ),
        (None, &[("x-forwarded-for", forged)], false),
        // Through the proxy.
        (Some("10.0.0.1"), &[("x-forwarded-for", forged)], true),
        (
            Some("10.0.0.1"),
            &[("forwarded", r#"for="[2001:db8::1]:80""#)],
            true,
        ),
        (
            Some("10.0.0.1"),
            &[("x-forwarded-for", "192.0.2.1, 198.51.100.1")],
            false,
        ),
        (
            Some("10.0.0.1"),
            &[("x-forwarded-for", "192.0.2.1, unknown")],
            false,
        ),
        (
            Some("10.0.0.1"),
            &[
                ("forwarded", "for=192.0.2.1"),
                ("x-forwarded-for", "198.51.100.1"),
            ],
            false,
        ),
        (Some("10.0.0.1"), &[], false),
    ] {
        for path in ["/calls", "/keys", "/keys/self"] {
            let request = request("GET", path, &token, None);
            let response = from(&app, peer, request, headers).await;
            let case = format!("{path} {peer:?} {headers:?}");
            if accepted {
                assert_eq!(response.status, StatusCode::OK, "{case}: {}", response.text);
            } else {
                assert_eq!(response.status, StatusCode::FORBIDDEN, "{case}");
                assert_eq!(response.json()["code"], "address_not_allowed", "{case}");
                assert_eq!(
                    response.header("www-authenticate"),
                    r#"Bearer realm="api", error="insufficient_scope""#
                );
            }
        }
    }
    // A key without addresses is accepted from any, and from an unknown one.
    let (_, free) = root.create(json!({"name": "n"})).await;
    for peer in [None, Some("198.51.100.1"), Some("10.0.0.1")] {
        let response = from(&app, peer, request("GET", "/calls", &free, None), &[]).await;
        assert_eq!(response.status, StatusCode::OK, "{peer:?}");
    }
}

#[tokio::test]
async fn only_who_has_the_secret_learns_that_the_address_is_not_allowed() {
    let (keys, root) = acme().await;
    let app = app(&keys);
    let (id, token) = root
        .create(json!({"name": "n", "allowed_ips": ["192.0.2.1"]}))
        .await;
    let peer = Some("198.51.100.1");
    let last = if token.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    let call =
        async |token: &str| from(&app, peer, request("GET", "/calls", token, None), &[]).await;
    assert_eq!(call(&wrong).await.json()["code"], "invalid_token");
    assert_eq!(call(&token).await.json()["code"], "address_not_allowed");
    // The status comes first.
    let pause = Some(json!({"enabled": false}));
    root.send("PATCH", &format!("/{id}"), pause).await;
    assert_eq!(call(&token).await.json()["code"], "invalid_token");
}

#[tokio::test]
async fn changed_addresses_apply_to_the_next_request() {
    let (keys, root) = acme().await;
    let app = app(&keys);
    let (id, token) = root.create(json!({"name": "n"})).await;
    let call = async || {
        let request = request("GET", "/calls", &token, None);
        from(&app, Some("192.0.2.1"), request, &[]).await.status
    };
    for (addresses, status) in [
        (json!(null), StatusCode::OK),
        (json!(["192.0.2.2"]), StatusCode::FORBIDDEN),
        (json!(["192.0.2.0/28"]), StatusCode::OK),
        (json!(["192.0.2.0/32"]), StatusCode::FORBIDDEN),
        (json!(null), StatusCode::OK),
    ] {
        let body = json!({"allowed_ips": addresses});
        root.send("PATCH", &format!("/{id}"), Some(body)).await;
        assert_eq!(call().await, status, "{addresses}");
    }
}

#[tokio::test]
async fn a_grpc_call_from_another_address_is_permission_denied() {
    let (keys, root) = acme().await;
    let body = json!({"name": "n", "allowed_ips": ["192.0.2.1"]});
    let (_, token) = root.create(body).await;
    let mut call = request("POST", "/grpc", &token, None);
    *call.version_mut() = Version::HTTP_2;
    assert_eq!(call.method(), Method::POST);
    let headers = [("content-type", "application/grpc")];
    let response = from(&app(&keys), Some("198.51.100.1"), call, &headers).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("grpc-status"), "7");
}

#[tokio::test]
async fn a_key_is_restricted_by_the_address_of_its_connection() {
    let (keys, root) = acme().await;
    let client_ip = ClientIpLayer::direct().with_peer(|extensions| {
        let info = extensions.get::<ConnectInfo<SocketAddr>>();
        info.map(|ConnectInfo(address)| address.ip())
    });
    let app = Router::new()
        .nest_service("/keys", ApiKeys::nested(&keys, "/keys"))
        .layer(client_ip);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    for (addresses, status) in [
        ("127.0.0.0/8", StatusCode::OK),
        ("192.0.2.1", StatusCode::FORBIDDEN),
    ] {
        let body = json!({"name": "n", "allowed_ips": [addresses]});
        let (_, token) = root.create(body).await;
        let mut request = request("GET", "/keys/self", &token, None);
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_str(&address.to_string()).unwrap());
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let service = service_fn(|request| sender.send_request(request));
        assert_eq!(send(service, request).await.status, status, "{addresses}");
    }
}
