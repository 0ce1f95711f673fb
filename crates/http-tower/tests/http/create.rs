//! `POST /`: its valid requests, its responses, and its errors.

use crate::common::{TestResponse, issue, library, post, send};
use axum::body::Body;
use http::{HeaderValue, Request, StatusCode};
use keywright_core::{Caller, Environment, Keywright, Timestamp, Workspace};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

/// Sends a body with a key that has all permissions.
async fn create(keys: &Keywright, body: &Value) -> TestResponse {
    let parent = issue(keys, "*").await;
    let request = post(parent.token.expose(), body.to_string());
    send(ApiKeys::nested(keys, "/v1/api-keys"), request).await
}

#[tokio::test]
async fn the_response_has_exactly_the_documented_fields() {
    let keys = library().await;
    let parent = issue(&keys, "api_keys:write,calls:*").await;
    let body = r#"{"name": "Production Server", "expire_now": false}"#;
    let response = send(
        ApiKeys::nested(&keys, "/v1/api-keys/"),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(!response.header("x-request-id").is_empty());
    let created = response.json();
    let id = created["id"].as_str().unwrap();
    assert_eq!(response.header("location"), format!("/v1/api-keys/{id}"));
    assert_eq!(response.header("etag"), r#""1""#);
    assert_eq!(
        created,
        json!({
            "id": id,
            "name": "Production Server",
            "secret": created["secret"],
            "created_at": created["created_at"],
            "last_used_at": null,
            "is_expired": false,
            "status": "active",
            "environment": "live",
            "permissions": ["api_keys:write", "calls:*"],
            "enabled": true,
            "owner": null,
            "expires_at": null,
            "revoked_at": null,
            "allowed_ips": null,
            "metadata": null,
            "parent_id": parent.key.id.to_string(),
            "predecessor_id": null,
            "successor_id": null,
            "rotated_by_id": null,
            "imported": false,
        })
    );
    let secret = created["secret"].as_str().unwrap();
    let verified = keys.verifier().verify(secret.as_bytes()).await.unwrap();
    assert_eq!(verified.key().id.to_string(), id);
    assert_eq!(
        verified.key().created_at().to_string(),
        created["created_at"].as_str().unwrap()
    );
    assert_eq!(verified.key().workspace.as_str(), "acme");
}

#[tokio::test]
async fn a_key_has_the_fields_of_the_request() {
    let keys = library().await;
    let name = "👩‍👩‍👧 مفتاح e\u{301} \"\\";
    let response = create(
        &keys,
        &json!({
            "name": format!("  {name}\t"),
            "expires_at": "2999-01-01T01:00:00+01:00",
            "permissions": ["calls:read", "a", "calls:read"],
            "environment": "test",
            "metadata": {"team": "x", "nested": {"n": [1, 2.5, null]}},
            "allowed_ips": ["2001:db8::/32", "192.0.2.7", "::ffff:10.0.0.0/104", "192.0.2.7/32"],
        }),
    )
    .await;
    assert_eq!(response.status, StatusCode::CREATED, "{}", response.text);
    let created = response.json();
    assert_eq!(created["name"], name);
    assert_eq!(created["expires_at"], "2999-01-01T00:00:00.000Z");
    assert_eq!(created["permissions"], json!(["a", "calls:read"]));
    assert_eq!(created["environment"], "test");
    let addresses = json!(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
    assert_eq!(created["allowed_ips"], addresses);
    assert_eq!(
        created["metadata"],
        json!({"team": "x", "nested": {"n": [1, 2.5, null]}})
    );
    assert!(created["secret"].as_str().unwrap().starts_with("sk_test_"));
}

#[tokio::test]
async fn a_key_with_the_longest_fields_is_returned_whole() {
    let keys = library().await;
    let permissions: Vec<String> = (0..64)
        .map(|n| format!("{n:02}{}:{}", "a".repeat(29), "b".repeat(32)))
        .collect();
    let response = create(
        &keys,
        &json!({
            "name": "\"".repeat(255),
            "permissions": permissions,
            "metadata": {"m": "\u{1}".repeat(600), "q": "\"".repeat(200)},
            "expires_at": "2999-01-01T00:00:00Z",
        }),
    )
    .await;
    assert_eq!(response.status, StatusCode::CREATED, "{}", response.text);
    assert_eq!(response.json()["name"], "\"".repeat(255));
}

#[tokio::test]
async fn expire_now_creates_an_expired_key() {
    let keys = library().await;
    let response = create(&keys, &json!({"name": "n", "expire_now": true})).await;
    assert_eq!(response.status, StatusCode::CREATED);
    let created = response.json();
    assert_eq!(created["expires_at"], created["created_at"]);
    let secret = created["secret"].as_str().unwrap();
    assert!(keys.verifier().verify(secret.as_bytes()).await.is_err());
}

#[tokio::test]
async fn an_empty_list_of_permissions_creates_a_key_without_permissions() {
    let keys = library().await;
    let response = create(&keys, &json!({"name": "n", "permissions": []})).await;
    assert_eq!(response.json()["permissions"], json!([]));
    let child = response.json()["secret"].as_str().unwrap().to_owned();
    let response = send(ApiKeys::nested(&keys, ""), post(&child, r#"{"name":"n"}"#)).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
}

const NOT_ADDRESSES: &str =
    "allowed_ips must be IP addresses such as 192.0.2.7 or prefixes such as 192.0.2.0/24";

#[tokio::test]
async fn every_invalid_field_is_reported_with_its_error() {
    let keys = library().await;
    let long = "x".repeat(256);
    let many: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    for (body, field, message) in [
        (json!({}), "name", "name should not be empty"),
        (json!({"name": ""}), "name", "name should not be empty"),
        (
            json!({"name": " \t\u{3000}"}),
            "name",
            "name should not be empty",
        ),
        (
            json!({"name": long}),
            "name",
            "name must be 255 characters or shorter",
        ),
        (
            json!({"name": "a\u{0}b"}),
            "name",
            "name must not contain control characters",
        ),
        (
            json!({"name": "\u{200b}\u{2800}\u{3164}"}),
            "name",
            "name must contain a visible character",
        ),
        (json!({"name": 7}), "name", "name must be a string"),
        (json!({"name": null}), "name", "name should not be empty"),
        (
            json!({"name": "n", "expire_now": "true"}),
            "expire_now",
            "expire_now must be a boolean",
        ),
        (
            json!({"name": "n", "expires_at": "soon"}),
            "expires_at",
            "expires_at must be an RFC 3339 timestamp",
        ),
        (
            json!({"name": "n", "expires_at": 99}),
            "expires_at",
            "expires_at must be an RFC 3339 timestamp",
        ),
        (
            json!({"name": "n", "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
            "expires_at must be in the future",
        ),
        (
            json!({"name": "n", "expire_now": true, "expires_at": "2999-01-01T00:00:00Z"}),
            "expires_at",
            "expires_at cannot be given with expire_now",
        ),
        (
            json!({"name": "n", "permissions": "a"}),
            "permissions",
            "permissions must be a list of strings",
        ),
        (
            json!({"name": "n", "permissions": [1]}),
            "permissions",
            "permissions must be a list of strings",
        ),
        (
            json!({"name": "n", "permissions": many}),
            "permissions",
            "a key has at most 64 permissions",
        ),
        (
            json!({"name": "n", "environment": "prod"}),
            "environment",
            "environment must be live or test",
        ),
        (
            json!({"name": "n", "metadata": []}),
            "metadata",
            "metadata must be a JSON object",
        ),
        (
            json!({"name": "n", "metadata": {"m": "x".repeat(4096)}}),
            "metadata",
            "metadata must be at most 4096 bytes of JSON",
        ),
        (
            json!({"name": "n", "allowed_ips": "10.0.0.0/8"}),
            "allowed_ips",
            "allowed_ips must be a list of strings",
        ),
        (
            json!({"name": "n", "allowed_ips": [1]}),
            "allowed_ips",
            "allowed_ips must be a list of strings",
        ),
        (
            json!({"name": "n", "allowed_ips": []}),
            "allowed_ips",
            "allowed_ips must be 1 to 32 addresses or CIDR prefixes",
        ),
        (
            json!({"name": "n", "allowed_ips": vec!["10.0.0.1"; 33]}),
            "allowed_ips",
            "allowed_ips must be 1 to 32 addresses or CIDR prefixes",
        ),
        (
            json!({"name": "n", "allowed_ips": ["10.0.0.0/33"]}),
            "allowed_ips",
            NOT_ADDRESSES,
        ),
        (
            json!({"name": "n", "allowed_ips": ["10.0.0.1", "sk_live_secret"]}),
            "allowed_ips",
            NOT_ADDRESSES,
        ),
        (
            json!({"name": "n", "allowed_ips": ["fe80::1%eth0"]}),
            "allowed_ips",
            NOT_ADDRESSES,
        ),
        (
            json!({"name": "n", "allowed_ips": ["10.0.0.7/8"]}),
            "allowed_ips",
            "a prefix in allowed_ips has bits set after its length: write 10.0.0.0/8, or a single \
             address without a length",
        ),
        (
            json!({"name": "n", "expires_att": "2999-01-01T00:00:00Z"}),
            "expires_att",
            r#"unknown field "expires_att""#,
        ),
        (
            json!({"name": "n", "workspace": "other"}),
            "workspace",
            r#"unknown field "workspace""#,
        ),
        (json!({"name": "n", "x".repeat(33): 1}), "", "unknown field"),
    ] {
        let response = create(&keys, &body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        let error = response.json();
        assert_eq!(error["statusCode"], 400);
        assert_eq!(error["error"], "Bad Request");
        assert_eq!(error["code"], "validation_failed");
        assert_eq!(error["message"], message, "{body}");
        assert_eq!(
            error["errors"],
            json!([{"field": field, "message": message}])
        );
        assert_eq!(error["requestId"], response.header("x-request-id"));
    }
    let response = create(&keys, &json!({"name": 1, "metadata": 1, "z": 1})).await;
    assert_eq!(response.json()["errors"].as_array().unwrap().len(), 3);
    assert_eq!(response.json()["message"], "name must be a string");
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_rejected() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    let token = parent.token.expose();
    let service = ApiKeys::nested(&keys, "");
    for (body, message) in [
        ("", "a JSON body is required"),
        ("{", "the body is not valid JSON (line 1, column 1)"),
        ("name=x", "the body is not valid JSON (line 1, column 2)"),
        ("[]", "the body must be a JSON object"),
        ("\"name\"", "the body must be a JSON object"),
        (
            "{\"name\":\"n\"} x",
            "the body is not valid JSON (line 1, column 14)",
        ),
        (
            r#"{"name":"a","name":"b"}"#,
            "duplicate field (line 1, column 18)",
        ),
        (
            r#"{"name":"a","metadata":{"x":1,"x":2}}"#,
            "duplicate field (line 1, column 33)",
        ),
    ] {
        let response = send(service.clone(), post(token, body)).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(response.json()["message"], message, "{body}");
        assert_eq!(response.json()["code"], "invalid_json");
    }
}

#[tokio::test]
async fn a_body_over_16_kib_is_rejected_before_it_is_read_to_the_end() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    let body = format!(
        r#"{{"name":"n","metadata":{{"a":"{}"}}}}"#,
        "x".repeat(1_000_000)
    );
    let response = send(
        ApiKeys::nested(&keys, ""),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.json()["code"], "payload_too_large");

    // An endless body, without a length. Only its first 16 KiB are read.
    let (pieces, body) = endless_body();
    let response = send(
        ApiKeys::nested(&keys, ""),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(pieces.load(std::sync::atomic::Ordering::Relaxed) <= 17);
}

/// A body without an end, and the number of its pieces of 1 KiB that were read.
fn endless_body() -> (std::sync::Arc<std::sync::atomic::AtomicUsize>, Body) {
    struct Endless(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl http_body::Body for Endless {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let piece = bytes::Bytes::from_static(&[b' '; 1024]);
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
        }
    }
    let pieces = std::sync::Arc::default();
    (std::sync::Arc::clone(&pieces), Body::new(Endless(pieces)))
}

#[tokio::test]
async fn only_json_is_accepted() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    for (media_type, status) in [
        (Some("application/json"), 201),
        (Some("Application/JSON; charset=utf-8"), 201),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jsonx"), 415),
        (Some("text/plain; application/json"), 415),
        (None, 415),
    ] {
        let mut request = post(parent.token.expose(), r#"{"name":"n"}"#);
        request.headers_mut().remove("content-type");
        if let Some(media_type) = media_type {
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static(media_type));
        }
        let response = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(response.status.as_u16(), status, "{media_type:?}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_an_unknown_method_is_405_with_allow() {
    let keys = library().await;
    let nested = ApiKeys::nested(&keys, "/v1/api-keys");
    let whole = ApiKeys::at(&keys, "/v1/api-keys");
    for (service, path) in [
        (&nested, "/"),
        (&whole, "/v1/api-keys"),
        (&whole, "/v1/api-keys/"),
    ] {
        let request = Request::put(path).body(Body::empty()).unwrap();
        let response = send(service.clone(), request).await;
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(response.header("allow"), "GET, HEAD, POST, OPTIONS");
    }
    for (service, path) in [
        (&nested, "/nowhere"),
        (&nested, "/v1/api-keys"),
        (&whole, "/"),
        (&whole, "/v1/api-keysx"),
        (&whole, "/v1/api-keys/v1/api-keys"),
        (&whole, "/v1/api-keys/a/b/c"),
        (&whole, "/v1/api-keys//"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = send(service.clone(), request).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.json()["code"], "not_found");
    }
}

#[tokio::test]
async fn the_permissions_of_a_child_never_exceed_those_of_its_parent() {
    let keys = library().await;
    let parent = issue(&keys, "api_keys:write,calls:*").await;
    let service = ApiKeys::nested(&keys, "");
    for (permissions, status) in [
        (json!(["calls:read"]), 201),
        (json!(["calls:*", "api_keys:write"]), 201),
        (json!(["*"]), 403),
        (json!(["calls"]), 403),
        (json!(["api_keys:*"]), 403),
        (json!(["calls:read", "billing:read"]), 403),
    ] {
        let body = json!({"name": "n", "permissions": permissions}).to_string();
        let response = send(service.clone(), post(parent.token.expose(), body)).await;
        assert_eq!(response.status.as_u16(), status, "{permissions}");
        if status == 403 {
            assert!(
                response
                    .header("www-authenticate")
                    .contains(r#"error="insufficient_scope""#)
            );
        }
    }
    let reader = issue(&keys, "api_keys:read").await;
    let response = send(service, post(reader.token.expose(), r#"{"name":"n"}"#)).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(
        response.header("www-authenticate"),
        r#"Bearer realm="api", error="insufficient_scope", scope="api_keys:write""#
    );
}

/// Sends a body as a caller that the host has authenticated.
async fn create_as(keys: &Keywright, caller: Caller, body: &Value) -> TestResponse {
    let mut request = Request::post("/")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    request.extensions_mut().insert(caller);
    send(ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn a_key_never_outlives_its_caller() {
    let keys = library().await;
    let caller = || {
        let end = Timestamp::parse("2999-01-01T00:00:00Z").unwrap();
        Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap()).with_expires_at(end)
    };
    let response = create_as(&keys, caller(), &json!({"name": "n"})).await;
    assert_eq!(response.json()["expires_at"], "2999-01-01T00:00:00.000Z");
    assert_eq!(response.json()["parent_id"], Value::Null);
    let sooner = json!({"name": "n", "expires_at": "2998-12-31T23:59:59.999Z"});
    let response = create_as(&keys, caller(), &sooner).await;
    assert_eq!(response.json()["expires_at"], "2998-12-31T23:59:59.999Z");
    let later = json!({"name": "n", "expires_at": "2999-01-01T00:00:00.001Z"});
    let response = create_as(&keys, caller(), &later).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(response.json()["errors"][0]["field"], "expires_at");

    let expired = caller().with_expires_at(Timestamp::from_millis(1).unwrap());
    let response = create_as(&keys, expired, &json!({"name": "n"})).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_test_caller_cannot_create_a_live_key() {
    let keys = library().await;
    let caller = || {
        Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap())
            .with_environment(Environment::Test)
    };
    let response = create_as(&keys, caller(), &json!({"name": "n"})).await;
    assert_eq!(response.json()["environment"], "test");
    let response = create_as(
        &keys,
        caller(),
        &json!({"name": "n", "environment": "live"}),
    )
    .await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.json()["code"], "environment_not_permitted");
}

#[tokio::test]
async fn an_error_has_the_format_of_rfc_9457_if_the_client_prefers_it() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    for accept in [
        "application/problem+json",
        "text/html, Application/Problem+JSON;q=0.9",
    ] {
        let mut request = post(parent.token.expose(), "{}");
        request
            .headers_mut()
            .insert("accept", HeaderValue::from_static(accept));
        request
            .headers_mut()
            .insert("x-request-id", HeaderValue::from_static("abc"));
        let response = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert_eq!(
            response.json(),
            json!({
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "name should not be empty",
                "code": "validation_failed",
                "requestId": "abc",
                "errors": [{"field": "name", "message": "name should not be empty"}],
            })
        );
    }
    for accept in [
        "application/problem+json;q=0",
        "application/problem+json;Q=0",
        "application/json, application/problem+json; q=0.1",
        "*/*",
    ] {
        let mut request = post(parent.token.expose(), "{}");
        request
            .headers_mut()
            .insert("accept", HeaderValue::from_static(accept));
        let response = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(
            response.header("content-type"),
            "application/json",
            "{accept}"
        );
    }
}

#[tokio::test]
async fn metadata_is_returned_unchanged_whatever_its_field_names() {
    let keys = library().await;
    for metadata in [
        json!({"a": {"$serde_json::private::RawValue": "{"}}),
        json!({"a": {"$serde_json::private::Number": "1"}}),
        json!({"v": 12.917521550408111, "w": 3.0161529128738007e-257, "x": u64::MAX}),
    ] {
        let response = create(&keys, &json!({"name": "n", "metadata": metadata})).await;
        assert_eq!(response.status, StatusCode::CREATED, "{metadata}");
        let sent = serde_json::to_string(&metadata).unwrap();
        assert!(
            response.text.contains(&format!(r#""metadata":{sent},"#)),
            "{}",
            response.text
        );
        // The response is not parsed as JSON, because `serde_json` interprets these field names.
        let secret = response.text.split("\"secret\":\"").nth(1).unwrap();
        let secret = secret.split('"').next().unwrap();
        let verified = keys.verifier().verify(secret.as_bytes()).await.unwrap();
        assert_eq!(verified.key().metadata.as_ref().unwrap().as_json(), sent);
    }
}

#[tokio::test]
async fn a_body_with_a_thousand_errors_gets_a_short_response() {
    let keys = library().await;
    let many: serde_json::Map<String, Value> =
        (0..1000).map(|n| (format!("f{n}"), Value::Null)).collect();
    let response = create(&keys, &Value::Object(many)).await;
    assert_eq!(response.json()["errors"].as_array().unwrap().len(), 32);
}
