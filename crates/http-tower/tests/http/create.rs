//! `POST /`: what it takes, what it answers, and everything that it refuses.

use crate::common::{Answer, issue, library, post, send};
use axum::body::Body;
use http::{HeaderValue, Request, StatusCode};
use keywright_core::{Caller, Environment, Keywright, Timestamp, Workspace};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

/// The answer to a body that a key with all permissions sends.
async fn create(keys: &Keywright, body: &Value) -> Answer {
    let parent = issue(keys, "*").await;
    let request = post(parent.token.expose(), body.to_string());
    send(ApiKeys::nested(keys, "/v1/api-keys"), request).await
}

#[tokio::test]
async fn answers_the_contract_field_for_field() {
    let keys = library().await;
    let parent = issue(&keys, "api_keys:write,calls:*").await;
    let body = r#"{"name": "Production Server", "expire_now": false}"#;
    let answer = send(
        ApiKeys::nested(&keys, "/v1/api-keys/"),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.header("x-request-id").is_empty());
    let created = answer.json();
    let id = created["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/api-keys/{id}"));
    assert_eq!(
        created,
        json!({
            "id": id,
            "name": "Production Server",
            "secret": created["secret"],
            "created_at": created["created_at"],
            "environment": "live",
            "permissions": ["api_keys:write", "calls:*"],
            "expires_at": null,
            "metadata": null,
            "parent_id": parent.key.id.to_string(),
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
async fn keeps_what_was_asked_for() {
    let keys = library().await;
    let name = "👩‍👩‍👧 مفتاح e\u{301} \"\\";
    let answer = create(
        &keys,
        &json!({
            "name": format!("  {name}\t"),
            "expires_at": "2999-01-01T01:00:00+01:00",
            "permissions": ["calls:read", "a", "calls:read"],
            "environment": "test",
            "metadata": {"team": "x", "nested": {"n": [1, 2.5, null]}},
        }),
    )
    .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let created = answer.json();
    assert_eq!(created["name"], name);
    assert_eq!(created["expires_at"], "2999-01-01T00:00:00.000Z");
    assert_eq!(created["permissions"], json!(["a", "calls:read"]));
    assert_eq!(created["environment"], "test");
    assert_eq!(
        created["metadata"],
        json!({"team": "x", "nested": {"n": [1, 2.5, null]}})
    );
    assert!(created["secret"].as_str().unwrap().starts_with("sk_test_"));
}

#[tokio::test]
async fn the_largest_key_fits_the_buffer_that_never_grows() {
    let keys = library().await;
    let permissions: Vec<String> = (0..64)
        .map(|n| format!("{n:02}{}:{}", "a".repeat(29), "b".repeat(32)))
        .collect();
    let answer = create(
        &keys,
        &json!({
            "name": "\"".repeat(255),
            "permissions": permissions,
            "metadata": {"m": "\u{1}".repeat(600), "q": "\"".repeat(200)},
            "expires_at": "2999-01-01T00:00:00Z",
        }),
    )
    .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.json()["name"], "\"".repeat(255));
}

#[tokio::test]
async fn expire_now_creates_a_key_that_is_expired() {
    let keys = library().await;
    let answer = create(&keys, &json!({"name": "n", "expire_now": true})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let created = answer.json();
    assert_eq!(created["expires_at"], created["created_at"]);
    let secret = created["secret"].as_str().unwrap();
    assert!(keys.verifier().verify(secret.as_bytes()).await.is_err());
}

#[tokio::test]
async fn an_empty_list_of_permissions_is_a_key_that_may_do_nothing() {
    let keys = library().await;
    let answer = create(&keys, &json!({"name": "n", "permissions": []})).await;
    assert_eq!(answer.json()["permissions"], json!([]));
    let child = answer.json()["secret"].as_str().unwrap().to_owned();
    let answer = send(ApiKeys::nested(&keys, ""), post(&child, r#"{"name":"n"}"#)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_field_that_does_not_validate_is_told() {
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
        (json!({"name": 7}), "name", "name must be a string"),
        (json!({"name": null}), "name", "name must be a string"),
        (
            json!({"name": "n", "expire_now": "true"}),
            "expire_now",
            "expire_now must be a boolean",
        ),
        (
            json!({"name": "n", "expire_now": null}),
            "expire_now",
            "expire_now must be a boolean",
        ),
        (
            json!({"name": "n", "expires_at": "soon"}),
            "expires_at",
            "expires_at must be a time as in RFC 3339",
        ),
        (
            json!({"name": "n", "expires_at": 99}),
            "expires_at",
            "expires_at must be a time as in RFC 3339",
        ),
        (
            json!({"name": "n", "expires_at": null}),
            "expires_at",
            "expires_at must be a time as in RFC 3339",
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
            json!({"name": "n", "expires_att": "2999-01-01T00:00:00Z"}),
            "expires_att",
            "property expires_att should not exist",
        ),
        (
            json!({"name": "n", "workspace": "other"}),
            "workspace",
            "property workspace should not exist",
        ),
        (
            json!({"name": "n", "x".repeat(33): 1}),
            "",
            "a property that is not known should not exist",
        ),
    ] {
        let answer = create(&keys, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let error = answer.json();
        assert_eq!(error["statusCode"], 400);
        assert_eq!(error["error"], "Bad Request");
        assert_eq!(error["code"], "validation_failed");
        assert_eq!(error["message"], message, "{body}");
        assert_eq!(
            error["errors"],
            json!([{"field": field, "message": message}])
        );
        assert_eq!(error["requestId"], answer.header("x-request-id"));
    }
    let answer = create(&keys, &json!({"name": 1, "metadata": 1, "z": 1})).await;
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 3);
    assert_eq!(answer.json()["message"], "name must be a string");
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    let token = parent.token.expose();
    let service = ApiKeys::nested(&keys, "");
    for (body, message) in [
        ("", "a JSON body is needed"),
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
            "a property is given twice (line 1, column 18)",
        ),
        (
            r#"{"name":"a","metadata":{"x":1,"x":2}}"#,
            "a property is given twice (line 1, column 33)",
        ),
    ] {
        let answer = send(service.clone(), post(token, body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["message"], message, "{body}");
        assert_eq!(answer.json()["code"], "invalid_json");
    }
}

#[tokio::test]
async fn a_body_over_16_kib_is_refused_before_it_is_read() {
    let keys = library().await;
    let parent = issue(&keys, "*").await;
    let body = format!(
        r#"{{"name":"n","metadata":{{"a":"{}"}}}}"#,
        "x".repeat(1_000_000)
    );
    let answer = send(
        ApiKeys::nested(&keys, ""),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["code"], "payload_too_large");

    // Without a length: an endless body, of which only the first 16 KiB are taken.
    let (sender, body) = endless_body();
    let answer = send(
        ApiKeys::nested(&keys, ""),
        post(parent.token.expose(), body),
    )
    .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(sender.load(std::sync::atomic::Ordering::Relaxed) <= 17);
}

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
async fn only_json_is_taken() {
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
        let answer = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(answer.status.as_u16(), status, "{media_type:?}");
    }
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405_with_allow() {
    let keys = library().await;
    let nested = ApiKeys::nested(&keys, "/v1/api-keys");
    let whole = ApiKeys::at(&keys, "/v1/api-keys");
    for (service, path) in [
        (&nested, "/"),
        (&whole, "/v1/api-keys"),
        (&whole, "/v1/api-keys/"),
    ] {
        let request = Request::put(path).body(Body::empty()).unwrap();
        let answer = send(service.clone(), request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "GET, HEAD, POST, OPTIONS");
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
        let answer = send(service.clone(), request).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["code"], "not_found");
    }
}

#[tokio::test]
async fn a_child_can_do_no_more_than_its_parent() {
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
        let answer = send(service.clone(), post(parent.token.expose(), body)).await;
        assert_eq!(answer.status.as_u16(), status, "{permissions}");
        if status == 403 {
            assert!(
                answer
                    .header("www-authenticate")
                    .contains(r#"error="insufficient_scope""#)
            );
        }
    }
    let reader = issue(&keys, "api_keys:read").await;
    let answer = send(service, post(reader.token.expose(), r#"{"name":"n"}"#)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer.header("www-authenticate"),
        r#"Bearer realm="api", error="insufficient_scope", scope="api_keys:write""#
    );
}

/// The answer to a body that a host's own caller sends, whom the host has authenticated.
async fn create_as(keys: &Keywright, caller: Caller, body: &Value) -> Answer {
    let mut request = Request::post("/")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    request.extensions_mut().insert(caller);
    send(ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn a_child_lives_no_longer_than_its_caller() {
    let keys = library().await;
    let caller = || {
        let end = Timestamp::parse("2999-01-01T00:00:00Z").unwrap();
        Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap()).with_expires_at(end)
    };
    let answer = create_as(&keys, caller(), &json!({"name": "n"})).await;
    assert_eq!(answer.json()["expires_at"], "2999-01-01T00:00:00.000Z");
    assert_eq!(answer.json()["parent_id"], Value::Null);
    let sooner = json!({"name": "n", "expires_at": "2998-12-31T23:59:59.999Z"});
    let answer = create_as(&keys, caller(), &sooner).await;
    assert_eq!(answer.json()["expires_at"], "2998-12-31T23:59:59.999Z");
    let later = json!({"name": "n", "expires_at": "2999-01-01T00:00:00.001Z"});
    let answer = create_as(&keys, caller(), &later).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["errors"][0]["field"], "expires_at");

    let over = caller().with_expires_at(Timestamp::from_millis(1).unwrap());
    let answer = create_as(&keys, over, &json!({"name": "n"})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_test_caller_cannot_create_a_live_key() {
    let keys = library().await;
    let caller = || {
        Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap())
            .with_environment(Environment::Test)
    };
    let answer = create_as(&keys, caller(), &json!({"name": "n"})).await;
    assert_eq!(answer.json()["environment"], "test");
    let answer = create_as(
        &keys,
        caller(),
        &json!({"name": "n", "environment": "live"}),
    )
    .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json()["code"], "environment_not_permitted");
}

#[tokio::test]
async fn errors_come_as_rfc_9457_where_that_is_accepted() {
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
        let answer = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(
            answer.json(),
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
        let answer = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{accept}"
        );
    }
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_sent_whatever_its_members_are_called() {
    let keys = library().await;
    for metadata in [
        json!({"a": {"$serde_json::private::RawValue": "{"}}),
        json!({"a": {"$serde_json::private::Number": "1"}}),
        json!({"v": 12.917521550408111, "w": 3.0161529128738007e-257, "x": u64::MAX}),
    ] {
        let answer = create(&keys, &json!({"name": "n", "metadata": metadata})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{metadata}");
        let sent = serde_json::to_string(&metadata).unwrap();
        assert!(
            answer.text.contains(&format!(r#""metadata":{sent},"#)),
            "{}",
            answer.text
        );
        // Not with a JSON parser: serde_json takes the first of these names for one of its own.
        let secret = answer.text.split("\"secret\":\"").nth(1).unwrap();
        let secret = secret.split('"').next().unwrap();
        let verified = keys.verifier().verify(secret.as_bytes()).await.unwrap();
        assert_eq!(verified.key().metadata.as_ref().unwrap().as_json(), sent);
    }
}

#[tokio::test]
async fn a_body_of_a_thousand_mistakes_gets_a_short_answer() {
    let keys = library().await;
    let many: serde_json::Map<String, Value> =
        (0..1000).map(|n| (format!("f{n}"), Value::Null)).collect();
    let answer = create(&keys, &Value::Object(many)).await;
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 32);
}
