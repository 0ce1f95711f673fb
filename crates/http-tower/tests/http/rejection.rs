//! The settings of the layer that decide who passes, and the responses that a host shares with it.

use std::convert::Infallible;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use keywright_core::{
    Caller, Environment, IssueError, KeyId, ListKeys, ListStart, Permission, Undecided, Verified,
    Workspace,
    store::{StoreError, StoreErrorKind},
};
use keywright_http_tower::{ApiKeys, AuthLayer, Rejection, issue_error_response};
use serde_json::{Value, json};
use tower::{Layer, service_fn};

use crate::common::{TestResponse, acme, issue, library, send};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Sends a request to a service behind the layer. It responds with its caller.
async fn through(auth: &AuthLayer, headers: &[(&'static str, &str)]) -> TestResponse {
    send_through(auth, get(headers)).await
}

async fn send_through(auth: &AuthLayer, request: Request<Body>) -> TestResponse {
    let service = auth.layer(service_fn(async |request: Request<Body>| {
        let caller = request.extensions().get::<Caller>();
        let verified = request.extensions().get::<Verified>().is_some();
        let text = match caller {
            Some(caller) => format!("{} {verified}", caller.workspace()),
            None => format!("anonymous {verified}"),
        };
        Ok::<_, Infallible>(Response::new(Body::from(text)))
    }));
    send(service, request).await
}

fn get(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

#[tokio::test]
async fn a_layer_reads_a_token_from_either_of_two_headers_and_not_from_both() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let token = issued.token.expose();
    let bearer = format!("Bearer {token}");
    let auth = AuthLayer::new(keys.verifier().clone()).also_header(X_API_KEY);
    let reversed = AuthLayer::new(keys.verifier().clone())
        .with_header(X_API_KEY)
        .also_header(http::header::AUTHORIZATION)
        .also_header(X_API_KEY);
    for auth in [&auth, &reversed] {
        for (headers, status, code) in [
            (&[("authorization", bearer.as_str())][..], 200, ""),
            (&[("x-api-key", token)], 200, ""),
            (
                &[("x-api-key", token), ("authorization", &bearer)],
                400,
                "invalid_request",
            ),
            (
                &[("x-api-key", "x"), ("authorization", &bearer)],
                400,
                "invalid_request",
            ),
            (
                &[("x-api-key", token), ("authorization", "Basic x")],
                400,
                "invalid_request",
            ),
            (
                &[("x-api-key", token), ("x-api-key", token)],
                400,
                "invalid_request",
            ),
            (&[("x-api-key", &bearer)], 401, "invalid_token"),
            (&[("x-api-key", "")], 401, "invalid_token"),
            (&[("authorization", token)], 401, "missing_token"),
            (&[], 401, "missing_token"),
        ] {
            let response = through(auth, headers).await;
            assert_eq!(response.status.as_u16(), status, "{headers:?}");
            if status != 200 {
                assert_eq!(response.json()["code"], code, "{headers:?}");
            }
        }
    }
    let message = |response: TestResponse| response.json()["message"].clone();
    assert_eq!(
        message(through(&auth, &[]).await),
        "an API key is required, as Authorization: Bearer <token> or x-api-key: <token>"
    );
    assert_eq!(
        message(through(&reversed, &[]).await),
        "an API key is required, as x-api-key: <token> or Authorization: Bearer <token>"
    );
    let service = ApiKeys::nested(&keys, "").with_auth(auth);
    let response = send(service, get(&[("x-api-key", token)])).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
}

#[tokio::test]
async fn both_headers_are_kept_out_of_a_log() {
    let keys = library().await;
    let auth = AuthLayer::new(keys.verifier().clone())
        .also_header(X_API_KEY)
        .optional();
    let service = auth.layer(service_fn(async |request: Request<Body>| {
        let text = format!("{:?}", request.headers());
        Ok::<_, Infallible>(Response::new(Body::from(text)))
    }));
    let mut request = get(&[("x-api-key", "a"), ("authorization", "b")]);
    // With a caller of the host, the headers do not count.
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    request.extensions_mut().insert(caller);
    let response = send(service, request).await;
    assert_eq!(
        response.text.matches("Sensitive").count(),
        2,
        "{}",
        response.text
    );
}

#[tokio::test]
async fn an_optional_layer_lets_only_requests_without_credentials_through() {
    let keys = library().await;
    let issued = issue(&keys, "calls:read").await;
    let token = issued.token.expose();
    let bearer = format!("Bearer {token}");
    let auth = AuthLayer::new(keys.verifier().clone()).optional();
    let two_headers = auth.clone().also_header(X_API_KEY);
    for (auth, headers, status, text) in [
        (&auth, &[][..], 200, "anonymous false"),
        (
            &auth,
            &[("authorization", bearer.as_str())],
            200,
            "acme true",
        ),
        (
            &auth,
            &[("authorization", "Bearer x")],
            401,
            "invalid_token",
        ),
        (&auth, &[("authorization", "Bearer")], 401, "invalid_token"),
        (&auth, &[("authorization", "")], 401, "missing_token"),
        (&auth, &[("authorization", token)], 401, "missing_token"),
        (&auth, &[("authorization", "Basic x")], 401, "missing_token"),
        (
            &auth,
            &[("authorization", "Bearer x"), ("authorization", "Bearer x")],
            400,
            "invalid_request",
        ),
        (&auth, &[("x-api-key", "x")], 200, "anonymous false"),
        (&two_headers, &[], 200, "anonymous false"),
        (&two_headers, &[("x-api-key", "x")], 401, "invalid_token"),
        (&two_headers, &[("x-api-key", token)], 200, "acme true"),
    ] {
        let response = through(auth, headers).await;
        assert_eq!(response.status.as_u16(), status, "{headers:?}");
        if status == 200 {
            assert_eq!(response.text, text, "{headers:?}");
        } else {
            assert_eq!(response.json()["code"], text, "{headers:?}");
        }
    }
    // The required permission applies to callers only.
    let guard = auth.clone().require("calls:write".parse().unwrap());
    assert_eq!(through(&guard, &[]).await.text, "anonymous false");
    let response = through(&guard, &[("authorization", &bearer)]).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    // A caller that another instance has verified does not pass as verified.
    let elsewhere = library().await;
    let foreign = issue(&elsewhere, "*").await;
    let token = foreign.token.expose().as_bytes();
    let verified = elsewhere.verifier().verify(token).await.unwrap();
    let mut request = get(&[]);
    request.extensions_mut().insert(verified.caller());
    request.extensions_mut().insert(verified);
    assert_eq!(send_through(&auth, request).await.text, "anonymous false");
    // The endpoints still need a caller.
    let service = ApiKeys::nested(&keys, "").with_auth(auth);
    let response = send(service, get(&[])).await;
    assert_eq!(response.json()["code"], "missing_token");
}

#[tokio::test]
async fn a_host_changes_the_body_of_a_rejection_and_keeps_its_headers() {
    let (keys, root) = acme().await;
    let restricted = json!({"name": "n", "allowed_ips": ["192.0.2.1"]});
    let (_, restricted) = root.create(restricted).await;
    let (_, powerless) = root.create(json!({"name": "n", "permissions": []})).await;
    let body = json!({"name": "n", "permissions": ["calls:read"], "environment": "test"});
    let (_, tester) = root.create(body).await;
    let auth = AuthLayer::new(keys.verifier().clone())
        .require("calls:read".parse().unwrap())
        .require_environment(Environment::Live);
    let own = auth.clone().on_reject(|rejection, request, response| {
        let reason = match rejection {
            Rejection::Missing => "missing".to_owned(),
            Rejection::Ambiguous => "ambiguous".to_owned(),
            Rejection::TooLong => "too long".to_owned(),
            Rejection::Denied => "denied".to_owned(),
            Rejection::AddressNotAllowed => "address".to_owned(),
            Rejection::MissingPermission(permission) => format!("permission {permission}"),
            Rejection::WrongEnvironment(environment) => format!("environment {environment}"),
            other => format!("{other}"),
        };
        let text = format!("{} {} {reason}", request.method, request.uri.path());
        response.map(|_| Full::from(text))
    });
    let long = format!("Bearer {}", "x".repeat(600));
    let [restricted, powerless, tester] =
        [restricted, powerless, tester].map(|token| format!("Bearer {token}"));
    let same = ("x-request-id", "same");
    for (headers, reason) in [
        (&[same][..], "missing"),
        (
            &[
                same,
                ("authorization", "Bearer x"),
                ("authorization", "Bearer x"),
            ],
            "ambiguous",
        ),
        (&[same, ("authorization", &long)], "too long"),
        (&[same, ("authorization", "Bearer x")], "denied"),
        (&[same, ("authorization", &restricted)], "address"),
        (
            &[same, ("authorization", &powerless)],
            "permission calls:read",
        ),
        (&[same, ("authorization", &tester)], "environment live"),
    ] {
        let [default, changed] = [through(&auth, headers).await, through(&own, headers).await];
        assert_eq!(changed.text, format!("GET / {reason}"));
        assert_eq!(changed.status, default.status, "{reason}");
        assert_eq!(changed.headers, default.headers, "{reason}");
        assert!(changed.headers.contains_key("www-authenticate"), "{reason}");
    }
    // A gRPC call gets the response of the host as well.
    let mut call = get(&[("content-type", "application/grpc")]);
    *call.method_mut() = http::Method::POST;
    *call.version_mut() = Version::HTTP_2;
    let response = send_through(&own.clone().for_grpc(), call).await;
    assert_eq!(
        (response.header("grpc-status"), response.text.as_str()),
        ("16", "POST / missing")
    );
    // The endpoints keep their format.
    let response = send(ApiKeys::nested(&keys, "").with_auth(own), get(&[])).await;
    assert_eq!(response.json()["code"], "missing_token");
}

/// Reads a response that the library has built for a host.
async fn read(response: Response<Full<bytes::Bytes>>) -> (u16, HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&bytes).unwrap();
    (parts.status.as_u16(), parts.headers, json)
}

#[tokio::test]
async fn a_host_builds_the_responses_of_the_layer() {
    let store = |kind| Undecided::Store(StoreError::new(kind, "away"));
    let mut request = HeaderMap::new();
    request.insert("x-request-id", HeaderValue::from_static("same"));
    for (rejection, status, code, challenge) in [
        (
            Rejection::Missing,
            401,
            "missing_token",
            r#"Bearer realm="api""#,
        ),
        (
            Rejection::Ambiguous,
            400,
            "invalid_request",
            r#"Bearer realm="api", error="invalid_request""#,
        ),
        (
            Rejection::TooLong,
            400,
            "invalid_request",
            r#"Bearer realm="api", error="invalid_request""#,
        ),
        (
            Rejection::Denied,
            401,
            "invalid_token",
            r#"Bearer realm="api", error="invalid_token""#,
        ),
        (
            Rejection::AddressNotAllowed,
            403,
            "address_not_allowed",
            r#"Bearer realm="api", error="insufficient_scope""#,
        ),
        (
            Rejection::MissingPermission(Permission::parse("a:b").unwrap()),
            403,
            "insufficient_scope",
            r#"Bearer realm="api", error="insufficient_scope", scope="a:b""#,
        ),
        (
            Rejection::WrongEnvironment(Environment::Live),
            403,
            "environment_not_permitted",
            r#"Bearer realm="api", error="insufficient_scope""#,
        ),
        (
            Rejection::Undecided(store(StoreErrorKind::Unavailable)),
            503,
            "unavailable",
            "",
        ),
        (
            Rejection::Undecided(store(StoreErrorKind::Corrupt)),
            500,
            "corrupt",
            "",
        ),
    ] {
        assert_eq!(
            (rejection.status().as_u16(), rejection.code()),
            (status, code)
        );
        let (sent, headers, body) = read(rejection.to_response(&request)).await;
        assert_eq!(
            (sent, &body["code"], &body["requestId"]),
            (status, &json!(code), &json!("same"))
        );
        let header = |name| {
            headers
                .get(name)
                .map_or("", |value: &HeaderValue| value.to_str().unwrap())
        };
        assert_eq!(header("www-authenticate"), challenge, "{code}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("retry-after"), if status == 503 { "1" } else { "" });
        assert!(!body.to_string().contains("away"), "{body}");
    }
}

#[tokio::test]
async fn a_host_that_manages_keys_responds_like_the_endpoints() {
    let (keys, root) = acme().await;
    let issuer = keys.issuer();
    let powerless = Caller::new(Workspace::parse("acme").unwrap(), "".parse().unwrap());
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let id = KeyId::parse("key_0U5lKtf600000000").unwrap();
    let after = ListStart::After("x".to_owned());
    let errors: [(IssueError, &str, &Caller); 3] = [
        (
            issuer.find(&caller, &id).await.unwrap_err(),
            "/key_0U5lKtf600000000",
            &caller,
        ),
        (
            issuer.list(&powerless, ListKeys::new()).await.unwrap_err(),
            "/",
            &powerless,
        ),
        (
            issuer
                .list(&caller, ListKeys::new().with_start(after))
                .await
                .unwrap_err(),
            "/?cursor=x",
            &caller,
        ),
    ];
    for (error, path, caller) in errors {
        let mut request = crate::common::request("GET", path, "", None);
        request
            .headers_mut()
            .insert("x-request-id", HeaderValue::from_static("same"));
        request.extensions_mut().insert(caller.clone());
        let headers = request.headers().clone();
        let endpoint = root.send_request(request).await;
        let (status, headers, body) = read(issue_error_response(&error, &headers)).await;
        assert_eq!(
            (status, body),
            (endpoint.status.as_u16(), endpoint.json()),
            "{path}"
        );
        assert_eq!(headers, endpoint.headers, "{path}");
    }
}
