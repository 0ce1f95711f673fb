//! Owners, the keys of a member, and the calling key.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{
    Attributes, Caller, Environment, Issued, KeyId, Keywright, MemoryStore, Name, NewKey, Workspace,
};
use serde_json::{Value, json};

use crate::common::{Client, TestResponse, acme, issue, open, request};

/// A caller of the host with an owner.
fn member(owner: &str, permissions: &str) -> Caller {
    Caller::new(
        Workspace::parse("acme").unwrap(),
        permissions.parse().unwrap(),
    )
    .with_owner(owner.parse().unwrap())
}

async fn as_caller(
    client: &Client,
    caller: &Caller,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> TestResponse {
    let mut request: Request<Body> = request(method, path, "", body);
    request.extensions_mut().insert(caller.clone());
    client.send_request(request).await
}

#[tokio::test]
async fn keys_inherit_the_owner_and_are_listed_by_it() {
    let (keys, root) = acme().await;
    let [ada, bob] = ["user:ada", "user:bob"].map(|owner| member(owner, "*"));
    let named = |name: &str| json!({"name": name, "permissions": ["api_keys:*"]});
    let created = as_caller(&root, &ada, "POST", "/", Some(&named("ada")))
        .await
        .json();
    assert_eq!(created["owner"], "user:ada");
    as_caller(&root, &bob, "POST", "/", Some(&named("bob"))).await;
    let own = Client::new(&keys, created["secret"].as_str().unwrap());
    let child = own
        .send("POST", "/", Some(named("child of ada")))
        .await
        .json();
    assert_eq!(child["owner"], "user:ada");
    let rotate = format!("/{}/rotate", child["id"].as_str().unwrap());
    let successor = own.send("POST", &rotate, None).await.json();
    assert_eq!(successor["owner"], "user:ada");
    for (query, total) in [
        ("owner=user:ada", 3),
        ("owner=user%3Aada&status=active", 3),
        ("owner=user:ada&status=disabled", 0),
        ("owner=user:ada&search=child", 2),
        ("owner=user:bob", 1),
        ("owner=user:eve", 0),
        ("", 5),
    ] {
        let page = root.send("GET", &format!("/?{query}"), None).await.json();
        assert_eq!(page["meta"]["total"], total, "{query}");
    }
    // A cursor belongs to the list of its owner.
    let page = root
        .send("GET", "/?owner=user:ada&limit=1", None)
        .await
        .json();
    let cursor = page["meta"]["nextCursor"].as_str().unwrap();
    for (query, status) in [
        ("owner=user:ada", StatusCode::OK),
        ("owner=user:bob", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let path = format!("/?cursor={cursor}&{query}");
        assert_eq!(
            root.send("GET", &path, None).await.status,
            status,
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_owner_cannot_be_chosen_by_the_client() {
    let (_, root) = acme().await;
    let (id, _) = root.create(json!({"name": "n"})).await;
    for (method, path) in [("POST", "/".to_owned()), ("PATCH", format!("/{id}"))] {
        for field in ["owner", "attributes"] {
            let body = json!({"name": "n", field: "user:ada"});
            let response = root.send(method, &path, Some(body)).await;
            let message = format!(r#"unknown field "{field}""#);
            crate::common::assert_invalid(&response, field, &message, field);
        }
    }
}

#[tokio::test]
async fn a_member_sees_the_keys_of_its_owner_and_no_others() {
    let (_, root) = acme().await;
    let [ada, bob] = ["user:ada", "user:bob"].map(|owner| member(owner, "api_keys.own:*,calls:*"));
    let body = json!({"name": "n", "permissions": ["calls:read"]});
    let own = as_caller(&root, &ada, "POST", "/", Some(&body))
        .await
        .json();
    let other = as_caller(&root, &bob, "POST", "/", Some(&body))
        .await
        .json();
    let (nobody, _) = root.create(body.clone()).await;
    let own = own["id"].as_str().unwrap();
    for list in ["/", "/?owner=user:ada"] {
        let page = as_caller(&root, &ada, "GET", list, None).await.json();
        assert_eq!(page["data"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(page["data"][0]["id"], own, "{list}");
    }
    let page = as_caller(&root, &ada, "GET", "/?owner=user:bob", None)
        .await
        .json();
    assert_eq!(
        (&page["data"], &page["meta"]["total"]),
        (&json!([]), &json!(0))
    );
    // The keys of others are exactly as if they did not exist.
    let missing = "key_0U5lKtf600000000";
    for (method, suffix, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"enabled": false}))),
        ("POST", "/rotate", None),
        ("DELETE", "?cascade=true", None),
    ] {
        let call = async |id: &str| {
            let path = format!("/{id}{suffix}");
            let mut request = request(method, &path, "", body.as_ref());
            request.extensions_mut().insert(ada.clone());
            request
                .headers_mut()
                .insert("x-request-id", "same".parse().unwrap());
            root.send_request(request).await
        };
        let unknown = call(missing).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        for id in [other["id"].as_str().unwrap(), &nobody] {
            let response = call(id).await;
            assert_eq!(
                (&response.headers, &response.text),
                (&unknown.headers, &unknown.text)
            );
        }
        assert_ne!(
            call(own).await.status,
            StatusCode::NOT_FOUND,
            "{method} {suffix}"
        );
    }
    let verify = json!({"key": other["secret"]});
    let response = as_caller(&root, &ada, "POST", "/verify", Some(&verify)).await;
    assert_eq!(
        response.json(),
        json!({"valid": false, "code": "NOT_FOUND"})
    );
}

/// Creates a key with attributes.
async fn with_attributes(keys: &Keywright) -> Issued {
    let attributes = Attributes::parse(r#"{"plan":"hidden"}"#).unwrap();
    let caller = member("user:ada", "*").with_attributes(attributes);
    let new = NewKey::new(Name::parse("n").unwrap());
    keys.issuer().create(&caller, new).await.unwrap()
}

#[tokio::test]
async fn attributes_are_in_no_response() {
    let keys = open(Arc::new(MemoryStore::new())).await;
    let issued = with_attributes(&keys).await;
    let client = Client::new(&keys, issued.token.expose());
    let path = format!("/{}", issued.key.id);
    let verify = json!({"key": issued.token.expose()});
    for (method, path, body) in [
        ("GET", "/", None),
        ("GET", &path, None),
        ("GET", "/self", None),
        ("PATCH", &path, Some(json!({"name": "m"}))),
        ("POST", "/", Some(json!({"name": "child"}))),
        ("POST", "/verify", Some(verify)),
        ("POST", "/self/rotate", None),
        ("DELETE", "/self", None),
    ] {
        let response = client.send(method, path, body).await;
        assert!(
            response.status.is_success(),
            "{method} {path}: {}",
            response.text
        );
        assert!(!response.text.contains("hidden"), "{method} {path}");
        assert!(!response.text.contains("attributes"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_without_permissions_finds_and_revokes_itself() {
    let (keys, _) = acme().await;
    let issued = issue(&keys, "calls:read").await;
    let client = Client::new(&keys, issued.token.expose());
    let itself = client.send("GET", "/self", None).await;
    assert_eq!(itself.json()["id"], issued.key.id.to_string());
    assert_eq!(itself.header("etag"), r#""1""#);
    let by_id = client
        .send("GET", &format!("/{}", issued.key.id), None)
        .await;
    assert_eq!(by_id.json()["id"], issued.key.id.to_string());
    let rotated = client.send("POST", "/self/rotate", None).await;
    assert_eq!(rotated.status, StatusCode::FORBIDDEN);
    assert_eq!(
        client
            .send("PATCH", "/self", Some(json!({})))
            .await
            .status
            .as_u16(),
        405
    );
    for (path, field) in [("/self?x=1", ""), ("/self?cascade=2", "cascade")] {
        let response = client.send("DELETE", path, None).await;
        assert_eq!(response.json()["errors"][0]["field"], field, "{path}");
    }
    let revoked = client.send("DELETE", "/self", None).await;
    assert_eq!(revoked.json(), json!({"message": "API key revoked."}));
    let after = client.send("GET", "/self", None).await;
    assert_eq!(after.json()["code"], "invalid_token");
}

#[tokio::test]
async fn a_key_rotates_itself_with_the_permission_for_that() {
    let (keys, root) = acme().await;
    let issued = issue(&keys, "api_keys.self:rotate,calls:read").await;
    let client = Client::new(&keys, issued.token.expose());
    let mut rotation = request("POST", "/self/rotate", &client.token, Some(&json!({})));
    rotation
        .headers_mut()
        .insert("idempotency-key", "once".parse().unwrap());
    let rotated = client.send_request(rotation).await;
    assert_eq!(rotated.status, StatusCode::CREATED, "{}", rotated.text);
    let successor = rotated.json();
    assert_eq!(
        rotated.header("location"),
        format!("/{}", successor["id"].as_str().unwrap())
    );
    assert_eq!(successor["predecessor_id"], issued.key.id.to_string());
    assert_eq!(
        successor["permissions"],
        json!(["api_keys.self:rotate", "calls:read"])
    );
    let mut repeat = request("POST", "/self/rotate", &client.token, Some(&json!({})));
    repeat
        .headers_mut()
        .insert("idempotency-key", "once".parse().unwrap());
    let repeat = client.send_request(repeat).await;
    assert_eq!(
        (repeat.status, &repeat.json()["id"]),
        (StatusCode::OK, &successor["id"])
    );
    let old = root
        .send("GET", &format!("/{}", issued.key.id), None)
        .await
        .json();
    assert_eq!(old["successor_id"], successor["id"]);
    // The successor is valid, and the old key until the end of the overlap.
    for token in [successor["secret"].as_str().unwrap(), issued.token.expose()] {
        let own = Client::new(&keys, token);
        assert_eq!(own.send("GET", "/self", None).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_caller_that_is_not_a_key_has_no_key_to_find() {
    let (_, root) = acme().await;
    let caller = member("user:ada", "*");
    for (method, path) in [
        ("GET", "/self"),
        ("DELETE", "/self"),
        ("POST", "/self/rotate"),
    ] {
        let response = as_caller(&root, &caller, method, path, None).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(
            response.json()["message"],
            "the caller is not an API key, so there is no key to find here"
        );
    }
}

#[tokio::test]
async fn the_key_of_a_test_caller_finds_itself() {
    let (keys, _) = acme().await;
    let operator = member("user:ada", "*").with_environment(Environment::Test);
    let new = NewKey::new(Name::parse("n").unwrap());
    let issued = keys.issuer().create(&operator, new).await.unwrap();
    let client = Client::new(&keys, issued.token.expose());
    let itself = client.send("GET", "/self", None).await.json();
    let id: KeyId = itself["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (id, &itself["environment"]),
        (issued.key.id, &json!("test"))
    );
}
