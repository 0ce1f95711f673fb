//! The requests that the auth layer accepts, and its responses to the others.

use std::sync::Arc;

use crate::common::{TestResponse, issue, library, open, post, send};
use axum::{Router, body::Body};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use keywright_core::{
    Caller, Environment, Expiry, Keywright, MemoryStore, Name, NewKey, Prefix, Timestamp, Token,
    TokenRef, Verified, Workspace, store::KeyStore,
};
use keywright_http_tower::{ApiKeys, AuthLayer};
use tower::{Layer, service_fn};
use tower_http::cors::CorsLayer;

/// Sends a request to a service behind the layer. It responds with the workspace of its caller and
/// whether the request has a `Verified`.
async fn through(auth: &AuthLayer, request: Request<Body>) -> TestResponse {
    let service = auth.layer(service_fn(async |request: Request<Body>| {
        let caller = request.extensions().get::<Caller>().unwrap();
        let verified = request.extensions().get::<Verified>().is_some();
        let text = format!("{} {verified}", caller.workspace());
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(text)))
    }));
    send(service, request).await
}

fn request(headers: &[(&'static str, &[u8])]) -> Request<Body> {
    let mut request = Request::get("/?access_token=x")
        .body(Body::empty())
        .unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).unwrap();
        request
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    request
}

fn layer(keys: &Keywright) -> AuthLayer {
    AuthLayer::new(keys.verifier().clone())
}

#[tokio::test]
async fn a_valid_token_is_accepted_with_any_case_of_the_scheme() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {}", issued.token.expose());
        let response = through(
            &layer(&keys),
            request(&[("authorization", value.as_bytes())]),
        )
        .await;
        assert_eq!(
            (response.status.as_u16(), response.text.as_str()),
            (200, "acme true")
        );
    }
}

#[tokio::test]
async fn a_request_without_a_token_gets_a_challenge_without_an_error() {
    let keys = library().await;
    let response = through(&layer(&keys), request(&[])).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.header("www-authenticate"), r#"Bearer realm="api""#);
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.json()["code"], "missing_token");
}

#[tokio::test]
async fn another_scheme_or_a_bare_token_counts_as_missing_credentials() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let token = issued.token.expose();
    let id: &[u8] = b"same";
    let expected = through(&layer(&keys), request(&[("x-request-id", id)])).await;
    assert_eq!(
        expected.json()["message"],
        "an API key is required, as Authorization: Bearer <token>"
    );
    for value in [
        String::new(),
        "x".into(),
        token.to_owned(),
        format!("Basic {token}"),
        format!("token {token}"),
        format!("ApiKey {token}"),
        format!("Bearer{token}"),
    ] {
        let headers = [("authorization", value.as_bytes()), ("x-request-id", id)];
        let response = through(&layer(&keys), request(&headers)).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(response.headers, expected.headers, "{value}");
        assert_eq!(response.text, expected.text, "{value}");
    }
    let header = HeaderName::from_static("x-api-key");
    let response = through(&layer(&keys).with_header(header), request(&[])).await;
    assert_eq!(
        response.json()["message"],
        "an API key is required, as x-api-key: <token>"
    );
}

#[tokio::test]
async fn every_invalid_token_gets_the_same_response() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let token = issued.token.expose();
    let elsewhere = issue(&library().await, "*").await;
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let expired = NewKey::new(Name::parse("n").unwrap()).with_expiry(Expiry::Now);
    let expired = keys.issuer().create(&caller, expired).await.unwrap();
    // The id of an existing key with another secret, and a correct checksum.
    let other = elsewhere.token.expose();
    let prefix = Prefix::parse("sk").unwrap();
    let parsed = TokenRef::parse(other.as_bytes(), &prefix).map_err(|error| error.to_string());
    let secret = parsed.unwrap().secret();
    let mixed = Token::assemble(&prefix, Environment::Live, &issued.key.id, &secret);

    let malformed = ["Bearer", "Bearer ", "Bearer x", "Bearer é"];
    let mut tokens: Vec<Vec<u8>> = malformed.map(|text| text.as_bytes().to_vec()).into();
    tokens.extend(
        [
            token.replace("live", "test"),
            token[..token.len() - 1].to_owned(),
            format!("{token}0"),
            format!("{token} {token}"),
            token.replacen('s', "S", 1),
            other.to_owned(),
            mixed.expose().to_owned(),
            expired.token.expose().to_owned(),
            "x".repeat(505),
        ]
        .map(|text| format!("Bearer {text}").into_bytes()),
    );
    tokens.push([b"Bearer ", token.as_bytes(), b"\xff"].concat());
    for value in tokens {
        let response = through(
            &layer(&keys),
            request(&[("authorization", &value), ("x-request-id", b"same")]),
        )
        .await;
        let value = String::from_utf8_lossy(&value);
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(
            response.header("www-authenticate"),
            r#"Bearer realm="api", error="invalid_token""#,
            "{value}"
        );
        assert_eq!(
            response.text,
            r#"{"statusCode":401,"message":"the API key is not valid","error":"Unauthorized","code":"invalid_token","requestId":"same"}"#
        );
    }
}

#[tokio::test]
async fn two_headers_and_a_too_long_header_are_bad_requests() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let good = format!("Bearer {}", issued.token.expose());
    let good = good.as_bytes();
    let long = format!("Bearer {}", "x".repeat(100_000));
    let just_over = format!("Bearer {}", "x".repeat(506));
    for request in [
        request(&[("authorization", good), ("authorization", good)]),
        request(&[("authorization", good), ("authorization", b"")]),
        request(&[("authorization", long.as_bytes())]),
        request(&[("authorization", just_over.as_bytes())]),
    ] {
        let response = through(&layer(&keys), request).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            response.header("www-authenticate"),
            r#"Bearer realm="api", error="invalid_request""#
        );
    }
}

#[tokio::test]
async fn a_required_permission_rejects_callers_without_it() {
    let keys = library().await;
    let guard = layer(&keys).require("calls:read".parse().unwrap());
    for (permissions, status) in [
        ("calls:read", 200),
        ("calls:*", 200),
        ("*", 200),
        ("calls:write", 403),
        ("", 403),
    ] {
        let issued = issue(&keys, permissions).await;
        let value = format!("Bearer {}", issued.token.expose());
        let response = through(&guard, request(&[("authorization", value.as_bytes())])).await;
        assert_eq!(response.status.as_u16(), status, "{permissions}");
        if status == 403 {
            assert_eq!(
                response.header("www-authenticate"),
                r#"Bearer realm="api", error="insufficient_scope", scope="calls:read""#
            );
            assert_eq!(
                response.json()["message"],
                "the permission calls:read is required"
            );
        }
    }
}

#[tokio::test]
async fn the_caller_of_the_host_takes_precedence_over_the_header() {
    let keys = library().await;
    let guard = layer(&keys).require("calls:read".parse().unwrap());
    for (permissions, status) in [("calls:read", 200), ("api_keys:read", 403)] {
        let mut request = request(&[
            ("authorization", b"Bearer nonsense"),
            ("authorization", b"x"),
        ]);
        let workspace = Workspace::parse("signed-in").unwrap();
        request
            .extensions_mut()
            .insert(Caller::new(workspace, permissions.parse().unwrap()));
        let response = through(&guard, request).await;
        assert_eq!(response.status.as_u16(), status);
        if status == 200 {
            assert_eq!(response.text, "signed-in false");
        }
    }
}

#[tokio::test]
async fn an_expired_caller_of_the_host_is_rejected() {
    let keys = library().await;
    let workspace = Workspace::parse("signed-in").unwrap();
    let expired = Caller::new(workspace, "*".parse().unwrap())
        .with_expires_at(Timestamp::from_millis(1).unwrap());
    let mut request = request(&[]);
    request.extensions_mut().insert(expired);
    let response = through(&layer(&keys), request).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.json()["code"], "invalid_token");
}

#[tokio::test]
async fn every_header_with_a_token_is_sensitive_with_or_without_a_caller_of_the_host() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let bearer = format!("Bearer {}", issued.token.expose());
    let (bearer, bare) = (bearer.as_bytes(), issued.token.expose().as_bytes());
    let header = HeaderName::from_static("x-api-key");
    let (plain, by_header) = (layer(&keys), layer(&keys).with_header(header));
    let by_bearer: &[_] = &[("authorization", bearer)];
    let twice: &[_] = &[
        ("authorization", &b"Bearer x"[..]),
        ("authorization", bearer),
    ];
    let mixed: &[_] = &[("x-api-key", bare), ("authorization", bearer)];
    let bare_twice: &[_] = &[
        ("x-api-key", bare),
        ("x-api-key", bare),
        ("authorization", bearer),
    ];
    for (auth, is_host, headers) in [
        (&plain, false, by_bearer),
        (&plain, true, by_bearer),
        (&plain, true, twice),
        (&by_header, false, mixed),
        (&by_header, true, mixed),
        (&by_header, true, bare_twice),
    ] {
        let service = auth.layer(service_fn(async |request: Request<Body>| {
            let text = format!("{:?}", request.headers());
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(text)))
        }));
        let mut request = request(headers);
        if is_host {
            let workspace = Workspace::parse("signed-in").unwrap();
            let caller = Caller::new(workspace, "*".parse().unwrap());
            request.extensions_mut().insert(caller);
        }
        let response = send(service, request).await;
        assert_eq!(response.status, StatusCode::OK, "{headers:?}");
        let printed = response.text.matches("Sensitive").count();
        assert_eq!(printed, headers.len(), "{}", response.text);
        let public = issued.key.id.to_string();
        assert!(!response.text.contains(&public), "{}", response.text);
    }
}

#[tokio::test]
async fn a_test_key_is_rejected_by_a_route_that_requires_the_live_environment() {
    let keys = library().await;
    let operator = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    for (required, environment, status) in [
        (None, Environment::Test, 200),
        (Some(Environment::Live), Environment::Live, 200),
        (Some(Environment::Live), Environment::Test, 403),
        (Some(Environment::Test), Environment::Test, 200),
        (Some(Environment::Test), Environment::Live, 403),
    ] {
        let mut new = NewKey::new(Name::parse("n").unwrap());
        new.environment = Some(environment);
        let issued = keys.issuer().create(&operator, new).await.unwrap();
        let value = format!("Bearer {}", issued.token.expose());
        let mut auth = layer(&keys).require("calls:read".parse().unwrap());
        if let Some(required) = required {
            auth = auth.require_environment(required);
        }
        let by_key = request(&[("authorization", value.as_bytes())]);
        let mut by_host = request(&[]);
        let caller = operator.clone().with_environment(environment);
        by_host.extensions_mut().insert(caller);
        for request in [by_key, by_host] {
            let response = through(&auth, request).await;
            assert_eq!(
                response.status.as_u16(),
                status,
                "{required:?} {environment}"
            );
            if status == 403 {
                assert_eq!(response.json()["code"], "environment_not_permitted");
                assert_eq!(
                    response.header("www-authenticate"),
                    r#"Bearer realm="api", error="insufficient_scope""#
                );
            }
        }
    }
}

#[tokio::test]
async fn only_a_grpc_call_to_a_grpc_layer_turns_a_rejection_into_200() {
    let keys = library().await;
    let (plain, for_grpc) = (layer(&keys), layer(&keys).for_grpc());
    for (auth, method, version, status) in [
        (&plain, Method::POST, Version::HTTP_2, 401),
        (&plain, Method::POST, Version::HTTP_11, 401),
        (&plain, Method::GET, Version::HTTP_11, 401),
        (&for_grpc, Method::POST, Version::HTTP_11, 401),
        (&for_grpc, Method::GET, Version::HTTP_2, 401),
        (&for_grpc, Method::POST, Version::HTTP_2, 200),
    ] {
        let mut request = request(&[("content-type", b"application/grpc")]);
        (*request.method_mut(), *request.version_mut()) = (method.clone(), version);
        let response = through(auth, request).await;
        assert_eq!(response.status.as_u16(), status, "{method} {version:?}");
        if status == 401 {
            assert_eq!(response.header("content-type"), "application/json");
            assert_eq!(response.json()["code"], "missing_token");
            assert!(!response.headers.contains_key("grpc-status"));
        } else {
            assert_eq!(response.header("grpc-status"), "16");
        }
    }
}

#[tokio::test]
async fn a_layer_can_read_the_token_from_another_header() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let auth = layer(&keys)
        .with_header(HeaderName::from_static("x-api-key"))
        .with_realm("acme calls")
        .unwrap();
    let token = issued.token.expose().as_bytes();
    let response = through(&auth, request(&[("x-api-key", token)])).await;
    assert_eq!(response.status, StatusCode::OK);
    let bearer = [b"Bearer ", token].concat();
    let response = through(&auth, request(&[("authorization", &bearer)])).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.header("www-authenticate"),
        r#"ApiKey realm="acme calls""#
    );
    assert!(layer(&keys).with_realm("a\"b").is_err());
}

/// Calls a service behind two layers. The first is the outer one.
async fn through_both(outer: &AuthLayer, inner: &AuthLayer, token: Option<&str>) -> TestResponse {
    let service = inner.layer(service_fn(async |request: Request<Body>| {
        let caller = request.extensions().get::<Caller>().unwrap();
        let verified = request.extensions().get::<Verified>().unwrap();
        assert_eq!(caller.key(), Some(&verified.key().id));
        let text = caller.permissions().to_string();
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(text)))
    }));
    let value = token.map(|token| format!("Bearer {token}"));
    let headers = value
        .iter()
        .map(|value| ("authorization", value.as_bytes()));
    send(outer.layer(service), request(&headers.collect::<Vec<_>>())).await
}

#[tokio::test]
async fn a_layer_rejects_a_key_of_another_instance_in_the_same_host() {
    let [partners, admin] = [library().await, library().await];
    let [partner, operator] = [issue(&partners, "*").await, issue(&admin, "*").await];
    let guard = layer(&admin).require("admin:write".parse().unwrap());
    // The outer layer accepts the key and adds its caller, which has every permission there.
    let response = through_both(&layer(&partners), &guard, Some(partner.token.expose())).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.json()["code"], "invalid_token");
    // The endpoints ignore that caller as well.
    let endpoints = layer(&partners).layer(ApiKeys::nested(&admin, ""));
    let body = Body::from(r#"{"name":"n"}"#);
    let response = send(endpoints, post(partner.token.expose(), body)).await;
    assert_eq!(response.json()["code"], "invalid_token");
    // So does a layer that finds no token, because the caller was authenticated by another header.
    let header = HeaderName::from_static("x-partner-key");
    let by_header = layer(&partners).with_header(header);
    let mut sent = request(&[("x-partner-key", partner.token.expose().as_bytes())]);
    let service = by_header.layer(guard.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    })));
    let response = send(service.clone(), sent).await;
    assert_eq!(response.json()["code"], "missing_token");
    // A request may contain a key for each of them.
    let bearer = format!("Bearer {}", operator.token.expose());
    sent = request(&[
        ("x-partner-key", partner.token.expose().as_bytes()),
        ("authorization", bearer.as_bytes()),
    ]);
    assert_eq!(send(service, sent).await.status, StatusCode::OK);
}

#[tokio::test]
async fn layers_of_one_instance_share_a_caller_and_two_instances_on_one_store_do_not() {
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let [keys, other] = [open(Arc::clone(&store)).await, open(store).await];
    let token = issue(&keys, "calls:read").await.token;
    for (outer, inner) in [(&keys, &keys.clone()), (&keys, &other), (&other, &keys)] {
        let guard = layer(inner).require("calls:read".parse().unwrap());
        let response = through_both(&layer(outer), &guard, Some(token.expose())).await;
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.text, "calls:read");
    }
    assert_eq!(
        through_both(&layer(&keys), &layer(&other), None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

const ORIGIN: &str = "https://app.example";

/// Returns an `OPTIONS` request with these headers.
fn options(headers: &[(&'static str, &'static str)]) -> Request<Body> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    let mut request = request(&headers.collect::<Vec<_>>());
    *request.method_mut() = Method::OPTIONS;
    request
}

fn preflight() -> Request<Body> {
    options(&[
        ("origin", ORIGIN),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ])
}

#[tokio::test]
async fn a_browser_can_read_a_rejection_only_if_cors_is_outside_the_layer() {
    let keys = library().await;
    let issued = issue(&keys, "calls:read").await;
    let bearer = format!("Bearer {}", issued.token.expose());
    let get = |value: &str| {
        request(&[
            ("origin", ORIGIN.as_bytes()),
            ("authorization", value.as_bytes()),
        ])
    };
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(ORIGIN))
        .allow_methods([Method::GET])
        .allow_headers([header::AUTHORIZATION]);
    let allowed =
        |response: &TestResponse| response.header("access-control-allow-origin") == ORIGIN;
    let auth = layer(&keys).require("calls:read".parse().unwrap());
    let route = Router::new().route("/", axum::routing::get("the calls"));
    for (app, preflight_status, is_readable) in [
        (
            route.clone().layer(auth.clone()).layer(cors.clone()),
            200,
            true,
        ),
        (
            route
                .clone()
                .layer(cors.clone())
                .layer(auth.clone().allow_preflight()),
            200,
            false,
        ),
        // The docs of `allow_preflight` warn of this mistake.
        (route.layer(cors).layer(auth), 401, false),
    ] {
        let response = send(app.clone(), preflight()).await;
        assert_eq!(response.status.as_u16(), preflight_status);
        assert_eq!(allowed(&response), preflight_status == 200);
        let response = send(app.clone(), get(&bearer)).await;
        assert_eq!(
            (response.status, allowed(&response)),
            (StatusCode::OK, true)
        );
        let response = send(app, get("Bearer x")).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(allowed(&response), is_readable);
    }
}

#[tokio::test]
async fn only_a_preflight_is_passed_on_without_authentication_and_it_has_no_caller() {
    let keys = library().await;
    let auth = layer(&keys).allow_preflight();
    let service = auth.layer(service_fn(async |request: Request<Body>| {
        let extensions = request.extensions();
        assert!(extensions.get::<Caller>().is_none());
        assert!(extensions.get::<Verified>().is_none());
        Ok::<_, std::convert::Infallible>(Response::new(Body::from("inside")))
    }));
    let mut with_caller = preflight();
    let workspace = Workspace::parse("signed-in").unwrap();
    let caller = Caller::new(workspace, "*".parse().unwrap());
    with_caller.extensions_mut().insert(caller);
    for request in [preflight(), with_caller] {
        assert_eq!(send(service.clone(), request).await.text, "inside");
    }
    let mut get = preflight();
    *get.method_mut() = Method::GET;
    for request in [
        get,
        options(&[]),
        options(&[("origin", ORIGIN)]),
        options(&[("access-control-request-method", "GET")]),
    ] {
        let response = send(service.clone(), request).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    }
}
