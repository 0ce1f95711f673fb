//! The auth layer: whom it lets through, and what it tells the others.

use crate::common::{Answer, issue, library, send};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use keywright_core::{
    Caller, Environment, Expiry, Keywright, Name, NewKey, Prefix, Timestamp, Token, TokenRef,
    Verified, Workspace,
};
use keywright_http_tower::AuthLayer;
use tower::{Layer, service_fn};

/// What a service behind the layer answers: the workspace of its caller.
async fn through(auth: &AuthLayer, request: Request<Body>) -> Answer {
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
async fn a_valid_token_passes_with_any_case_of_the_scheme() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {}", issued.token.expose());
        let answer = through(
            &layer(&keys),
            request(&[("authorization", value.as_bytes())]),
        )
        .await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, "acme true")
        );
    }
}

#[tokio::test]
async fn without_a_token_there_is_a_challenge_without_an_error() {
    let keys = library().await;
    let answer = through(&layer(&keys), request(&[])).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["code"], "missing_token");
}

#[tokio::test]
async fn every_token_that_opens_nothing_gets_one_and_the_same_answer() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let token = issued.token.expose();
    let elsewhere = issue(&library().await, "*").await;
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let expired = NewKey::new(Name::parse("n").unwrap()).with_expiry(Expiry::Now);
    let expired = keys.issuer().create(&caller, expired).await.unwrap();
    // Another secret, with the right checksum, under an id that exists.
    let other = elsewhere.token.expose();
    let prefix = Prefix::parse("sk").unwrap();
    let parsed = TokenRef::parse(other.as_bytes(), &prefix).map_err(|error| error.to_string());
    let secret = parsed.unwrap().secret();
    let mixed = Token::assemble(&prefix, Environment::Live, &issued.key.id, &secret);

    let malformed = ["", "x", "Basic x", "Bearer", "Bearer ", "Bearer é"];
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
        let answer = through(
            &layer(&keys),
            request(&[("authorization", &value), ("x-request-id", b"same")]),
        )
        .await;
        let value = String::from_utf8_lossy(&value);
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(
            answer.header("www-authenticate"),
            r#"Bearer realm="api", error="invalid_token""#,
            "{value}"
        );
        assert_eq!(
            answer.text,
            r#"{"statusCode":401,"message":"the API key is not valid","error":"Unauthorized","code":"invalid_token","requestId":"same"}"#
        );
    }
}

#[tokio::test]
async fn two_headers_or_a_long_one_are_a_bad_request() {
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
        let answer = through(&layer(&keys), request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            answer.header("www-authenticate"),
            r#"Bearer realm="api", error="invalid_request""#
        );
    }
}

#[tokio::test]
async fn a_guard_lets_only_callers_with_the_permission_through() {
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
        let answer = through(&guard, request(&[("authorization", value.as_bytes())])).await;
        assert_eq!(answer.status.as_u16(), status, "{permissions}");
        if status == 403 {
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Bearer realm="api", error="insufficient_scope", scope="calls:read""#
            );
            assert_eq!(
                answer.json()["message"],
                "the permission calls:read is needed"
            );
        }
    }
}

#[tokio::test]
async fn the_hosts_own_caller_counts_and_the_header_is_not_looked_at() {
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
        let answer = through(&guard, request).await;
        assert_eq!(answer.status.as_u16(), status);
        if status == 200 {
            assert_eq!(answer.text, "signed-in false");
        }
    }
}

#[tokio::test]
async fn the_hosts_own_caller_is_refused_once_its_time_is_over() {
    let keys = library().await;
    let workspace = Workspace::parse("signed-in").unwrap();
    let over = Caller::new(workspace, "*".parse().unwrap())
        .with_expires_at(Timestamp::from_millis(1).unwrap());
    let mut request = request(&[]);
    request.extensions_mut().insert(over);
    let answer = through(&layer(&keys), request).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["code"], "invalid_token");
}

#[tokio::test]
async fn the_token_is_marked_as_sensitive_for_whoever_prints_headers() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let service = layer(&keys).layer(service_fn(async |request: Request<Body>| {
        let text = format!("{:?}", request.headers());
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(text)))
    }));
    let value = format!("Bearer {}", issued.token.expose());
    let answer = send(service, request(&[("authorization", value.as_bytes())])).await;
    assert_eq!(answer.text, r#"{"authorization": Sensitive}"#);
}

#[tokio::test]
async fn a_client_that_says_grpc_does_not_turn_a_refusal_into_200() {
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
        let answer = through(auth, request).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {version:?}");
        if status == 401 {
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.json()["code"], "missing_token");
            assert!(!answer.headers.contains_key("grpc-status"));
        } else {
            assert_eq!(answer.header("grpc-status"), "16");
        }
    }
}

#[tokio::test]
async fn another_header_can_carry_the_token() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let auth = layer(&keys)
        .with_header(HeaderName::from_static("x-api-key"))
        .with_realm("acme calls")
        .unwrap();
    let token = issued.token.expose().as_bytes();
    let answer = through(&auth, request(&[("x-api-key", token)])).await;
    assert_eq!(answer.status, StatusCode::OK);
    let bearer = [b"Bearer ", token].concat();
    let answer = through(&auth, request(&[("authorization", &bearer)])).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.header("www-authenticate"),
        r#"ApiKey realm="acme calls""#
    );
    assert!(layer(&keys).with_realm("a\"b").is_err());
}
