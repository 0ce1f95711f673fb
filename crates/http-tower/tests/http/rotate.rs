//! Rotation, idempotency and introspection.

use http::{HeaderValue, StatusCode};
use keywright_core::{Keywright, Timestamp};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

use crate::common::{Client, TestResponse, acme, issue, request, send};

/// Whether the verifier accepts a token.
async fn is_valid(keys: &Keywright, token: &str) -> bool {
    keys.verifier().verify(token.as_bytes()).await.is_ok()
}

#[tokio::test]
async fn both_keys_are_valid_during_the_overlap() {
    let (keys, client) = acme().await;
    let body = json!({"name": "n", "permissions": ["a"], "metadata": {"x": 1}});
    let (id, secret) = client.create(body).await;
    let rotated = client.send("POST", &format!("/{id}/rotate"), None).await;
    assert_eq!(rotated.status, StatusCode::CREATED, "{}", rotated.text);
    let successor = rotated.json();
    assert_eq!(
        rotated.header("location"),
        format!("/{}", successor["id"].as_str().unwrap())
    );
    let old = client.send("GET", &format!("/{id}"), None).await.json();
    assert_eq!(old["successor_id"], successor["id"]);
    for member in [
        "name",
        "permissions",
        "environment",
        "metadata",
        "parent_id",
    ] {
        assert_eq!(successor[member], old[member], "{member}");
    }
    assert_eq!(successor["expires_at"], Value::Null);
    // The overlap is exactly 24 hours from the creation of the successor.
    let at = |value: &Value| {
        Timestamp::parse(value.as_str().unwrap())
            .unwrap()
            .as_millis()
    };
    assert_eq!(
        at(&old["expires_at"]) - at(&successor["created_at"]),
        86_400_000
    );
    assert!(is_valid(&keys, &secret).await);
    assert!(is_valid(&keys, successor["secret"].as_str().unwrap()).await);
    let again = client.send("POST", &format!("/{id}/rotate"), None).await;
    assert_eq!(
        (again.status, again.json()["code"].clone()),
        (StatusCode::CONFLICT, json!("not_rotatable"))
    );
}

#[tokio::test]
async fn an_overlap_of_now_or_0_revokes_the_old_key_at_once() {
    let (keys, client) = acme().await;
    for expire_previous in [json!("now"), json!(0)] {
        let (id, secret) = client.create(json!({"name": "n"})).await;
        let body = json!({"expire_previous": expire_previous});
        let rotated = client
            .send("POST", &format!("/{id}/rotate"), Some(body))
            .await;
        assert_eq!(rotated.status, StatusCode::CREATED);
        assert!(!is_valid(&keys, &secret).await);
        assert!(is_valid(&keys, rotated.json()["secret"].as_str().unwrap()).await);
    }
}

#[tokio::test]
async fn a_whole_number_of_seconds_was_rejected_if_it_had_a_decimal_point() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let body = json!({"expire_previous": 60.0});
    let rotated = client
        .send("POST", &format!("/{id}/rotate"), Some(body))
        .await;
    assert_eq!(rotated.status, StatusCode::CREATED, "{}", rotated.text);
}

#[tokio::test]
async fn an_invalid_rotation_is_rejected_and_changes_nothing() {
    let (keys, client) = acme().await;
    let (id, secret) = client.create(json!({"name": "n"})).await;
    for body in [
        json!({"expire_previous": "later"}),
        json!({"expire_previous": -1}),
        json!({"expire_previous": 1.5}),
        json!({"expire_previous": 2_592_001}),
        json!({"expire_previous": "0"}),
        json!({"expires_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "x"}),
        json!([]),
    ] {
        let response = client
            .send("POST", &format!("/{id}/rotate"), Some(body.clone()))
            .await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
    }
    // The response contains a token, so the caller needs the permissions of the key.
    let weak = issue(&keys, "api_keys:write").await;
    let weak = Client::new(&keys, weak.token.expose());
    let response = weak.send("POST", &format!("/{id}/rotate"), None).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert!(is_valid(&keys, &secret).await);
    let (expired, _) = client
        .create(json!({"name": "n", "expire_now": true}))
        .await;
    let response = client
        .send("POST", &format!("/{expired}/rotate"), None)
        .await;
    assert_eq!(response.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_key_cannot_extend_its_expiry_by_rotating_itself() {
    let (keys, client) = acme().await;
    let body = json!({"name": "n", "expires_at": "2999-01-01T00:00:00Z"});
    let (id, secret) = client.create(body).await;
    let own = Client::new(&keys, &secret);
    let later = json!({"expires_at": "2999-01-01T00:00:00.001Z"});
    let rejected = own
        .send("POST", &format!("/{id}/rotate"), Some(later))
        .await;
    assert_eq!(rejected.status, StatusCode::BAD_REQUEST);
    let rotated = own
        .send("POST", &format!("/{id}/rotate"), None)
        .await
        .json();
    assert_eq!(rotated["expires_at"], "2999-01-01T00:00:00.000Z");
}

/// Sends a request with an idempotency key.
async fn send_once(
    keys: &Keywright,
    token: &str,
    path: &str,
    key: &str,
    body: &Value,
) -> TestResponse {
    let mut request = request("POST", path, token, Some(body));
    request
        .headers_mut()
        .insert("idempotency-key", HeaderValue::from_str(key).unwrap());
    send(ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn a_repeat_with_the_same_idempotency_key_changes_nothing() {
    let (keys, client) = acme().await;
    let (id, _) = client.create(json!({"name": "to rotate"})).await;
    let rotate = format!("/{id}/rotate");
    for (path, body, other) in [
        ("/", json!({"name": "n"}), json!({"name": "m"})),
        (
            rotate.as_str(),
            json!({"expire_previous": 60}),
            json!({"expire_previous": 61}),
        ),
    ] {
        let first = send_once(&keys, &client.token, path, "once", &body).await;
        assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
        let repeat = send_once(&keys, &client.token, path, "once", &body).await;
        assert_eq!(repeat.status, StatusCode::OK, "{}", repeat.text);
        assert_eq!(repeat.header("idempotency-replayed"), "true");
        assert_eq!(repeat.header("location"), first.header("location"));
        let mut expected = first.json();
        expected["secret"] = Value::Null;
        assert_eq!(repeat.json(), expected);
        let mismatch = send_once(&keys, &client.token, path, "once", &other).await;
        assert_eq!(mismatch.status, StatusCode::UNPROCESSABLE_ENTITY);
        let another = issue(&keys, "*").await;
        let elsewhere = send_once(&keys, another.token.expose(), path, "once", &body).await;
        assert_ne!(elsewhere.status, StatusCode::OK);
    }
    for bad in ["", " ", "ü", &"x".repeat(256)] {
        let Ok(value) = HeaderValue::from_bytes(bad.as_bytes()) else {
            continue;
        };
        let mut request = request("POST", "/", &client.token, Some(&json!({"name": "n"})));
        request.headers_mut().insert("idempotency-key", value);
        let response = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_rejected_rotation_does_not_use_up_its_idempotency_key() {
    let (keys, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let rotate = format!("/{id}/rotate");
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    let rejected = send_once(&keys, &client.token, &rotate, "once", &past).await;
    assert_eq!(rejected.status, StatusCode::BAD_REQUEST);
    let corrected = json!({"expires_at": "2999-01-01T00:00:00Z"});
    let rotated = send_once(&keys, &client.token, &rotate, "once", &corrected).await;
    assert_eq!(rotated.status, StatusCode::CREATED, "{}", rotated.text);
    for (body, status) in [
        (&corrected, StatusCode::OK),
        (&past, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let again = send_once(&keys, &client.token, &rotate, "once", body).await;
        assert_eq!(again.status, status, "{body}");
    }
    for body in [json!({}), json!({"expire_previous": 60})] {
        let other = send_once(&keys, &client.token, &rotate, "another", &body).await;
        assert_eq!(other.status, StatusCode::CONFLICT, "{body}");
        let nowhere = "/key_0U5lKtf600000000/rotate";
        let unknown = send_once(&keys, &client.token, nowhere, "once", &body).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{body}");
    }
}

#[tokio::test]
async fn introspection_reports_whether_a_token_is_valid_in_the_workspace_of_the_caller() {
    let (keys, client) = acme().await;
    let (_, good) = client.create(json!({"name": "good"})).await;
    let (_, expired) = client
        .create(json!({"name": "expired", "expire_now": true}))
        .await;
    let (id, revoked) = client.create(json!({"name": "revoked"})).await;
    client.send("DELETE", &format!("/{id}"), None).await;
    let call = async |token: &str| {
        client
            .send("POST", "/verify", Some(json!({"key": token})))
            .await
    };
    let valid = call(&good).await.json();
    assert_eq!(
        (&valid["valid"], &valid["name"]),
        (&json!(true), &json!("good"))
    );
    assert!(valid.get("secret").is_none());
    for (token, code) in [
        (expired.as_str(), "EXPIRED"),
        (&revoked, "REVOKED"),
        (&good[..70], "NOT_FOUND"),
        ("", "NOT_FOUND"),
    ] {
        assert_eq!(
            call(token).await.json(),
            json!({"valid": false, "code": code})
        );
    }
    // In another workspace, none of them exists.
    let other = keywright_core::Caller::new(
        keywright_core::Workspace::parse("other").unwrap(),
        "*".parse().unwrap(),
    );
    for token in [&good, &expired, &revoked] {
        let body = json!({"key": token});
        let mut request = request("POST", "/verify", "x", Some(&body));
        request.extensions_mut().insert(other.clone());
        let response = send(ApiKeys::nested(&keys, ""), request).await;
        assert_eq!(
            response.json(),
            json!({"valid": false, "code": "NOT_FOUND"})
        );
    }
    for body in [json!({}), json!({"key": 1}), json!({"key": "x", "more": 1})] {
        let response = client.send("POST", "/verify", Some(body)).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
    }
}
