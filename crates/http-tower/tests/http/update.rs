//! Updates: every field, who may change it, and the conditions of `If-Match`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use keywright_core::{
    Caller, Clock, Config, Keywright, MemoryStore, Prefix, Scheme, Timestamp, Workspace,
};
use serde_json::{Value, json};

use crate::common::{Client, TestResponse, acme, acme_on, assert_invalid, issue, request, stores};

/// Asserts that a response has this status and this code.
#[track_caller]
fn assert_error(response: &TestResponse, status: u16, code: &str, case: &str) {
    assert_eq!(
        response.status.as_u16(),
        status,
        "{case}: {}",
        response.text
    );
    assert_eq!(response.json()["code"], code, "{case}");
}

#[tokio::test]
async fn every_setting_can_be_changed_alone_and_together_with_the_others() {
    for (store, _folder) in stores() {
        let (_, client) = acme_on(store).await;
        let (id, _) = client.create(json!({"name": "n"})).await;
        let path = format!("/{id}");
        let mut expected = client.send("GET", &path, None).await.json();
        for (field, sent, stored) in [
            ("name", json!(" m "), json!("m")),
            ("metadata", json!({"a": [1]}), json!({"a": [1]})),
            ("permissions", json!(["b", "a", "b"]), json!(["a", "b"])),
            (
                "expires_at",
                json!("2999-01-01T01:00:00+01:00"),
                json!("2999-01-01T00:00:00.000Z"),
            ),
            ("enabled", json!(false), json!(false)),
            (
                "allowed_ips",
                json!(["::ffff:10.0.0.1", "10.1.0.0/16"]),
                json!(["10.0.0.1", "10.1.0.0/16"]),
            ),
            ("metadata", Value::Null, Value::Null),
            ("expires_at", Value::Null, Value::Null),
            ("allowed_ips", Value::Null, Value::Null),
        ] {
            let body = json!({field: sent});
            let updated = client.send("PATCH", &path, Some(body.clone())).await;
            assert_eq!(updated.status, StatusCode::OK, "{body}: {}", updated.text);
            expected[field] = stored;
            if field == "enabled" {
                expected["status"] = json!("disabled");
            }
            assert_eq!(updated.json(), expected, "{body}");
        }
        let all = json!({
            "name": "all", "metadata": {}, "permissions": [], "enabled": true,
            "expires_at": "2999-01-01T00:00:00.000Z", "allowed_ips": ["fd00::/8"],
        });
        let updated = client.send("PATCH", &path, Some(all.clone())).await;
        for (field, value) in all.as_object().unwrap() {
            expected[field] = value.clone();
        }
        expected["status"] = json!("active");
        assert_eq!(updated.json(), expected);
        assert_eq!(client.send("GET", &path, None).await.json(), expected);
    }
}

#[tokio::test]
async fn an_invalid_change_names_its_field_and_changes_nothing() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    let before = client.send("GET", &path, None).await;
    let addresses = "allowed_ips must be 1 to 32 addresses or CIDR prefixes";
    let syntax =
        "allowed_ips must be IP addresses such as 192.0.2.7 or prefixes such as 192.0.2.0/24";
    for (field, value, message) in [
        (
            "name",
            Value::Null,
            "name cannot be null; leave it out to keep it",
        ),
        (
            "permissions",
            Value::Null,
            "permissions cannot be null; leave it out to keep it",
        ),
        (
            "enabled",
            Value::Null,
            "enabled cannot be null; leave it out to keep it",
        ),
        ("name", json!(""), "name should not be empty"),
        ("name", json!(1), "name must be a string"),
        ("enabled", json!("false"), "enabled must be a boolean"),
        ("enabled", json!(0), "enabled must be a boolean"),
        (
            "permissions",
            json!("*"),
            "permissions must be a list of strings",
        ),
        ("metadata", json!("{}"), "metadata must be a JSON object"),
        (
            "expires_at",
            json!(1),
            "expires_at must be an RFC 3339 timestamp",
        ),
        (
            "expires_at",
            json!("2020-01-01T00:00:00Z"),
            "expires_at must be in the future",
        ),
        ("allowed_ips", json!([]), addresses),
        ("allowed_ips", json!(vec!["10.0.0.1"; 33]), addresses),
        (
            "allowed_ips",
            json!("10.0.0.1"),
            "allowed_ips must be a list of strings",
        ),
        (
            "allowed_ips",
            json!([null]),
            "allowed_ips must be a list of strings",
        ),
        ("allowed_ips", json!(["10.0.0.0/33"]), syntax),
        ("allowed_ips", json!(["10.0.0.1-10.0.0.9"]), syntax),
        (
            "allowed_ips",
            json!(["2001:db8::1/32"]),
            "a prefix in allowed_ips has bits set after its length: write 2001:db8::/32, or a \
             single address without a length",
        ),
    ] {
        // A valid field next to it does not change either.
        let body = match field {
            "enabled" => json!({"enabled": value, "name": "m"}),
            field => json!({"enabled": false, field: value}),
        };
        let response = client.send("PATCH", &path, Some(body.clone())).await;
        assert_invalid(&response, field, message, &body.to_string());
    }
    let after = client.send("GET", &path, None).await;
    assert_eq!(after.json(), before.json());
    assert_eq!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn a_disabled_key_is_rejected_exactly_like_a_revoked_one_and_can_be_resumed() {
    let (keys, client) = acme().await;
    let (disabled, disabled_token) = client.create(json!({"name": "n"})).await;
    let (revoked, revoked_token) = client.create(json!({"name": "n"})).await;
    let path = format!("/{disabled}");
    client
        .send("PATCH", &path, Some(json!({"enabled": false})))
        .await;
    client.send("DELETE", &format!("/{revoked}"), None).await;
    let call = async |token: &str| {
        let mut request = request("GET", "/self", token, None);
        let same = HeaderValue::from_static("same");
        request.headers_mut().insert("x-request-id", same);
        client.send_request(request).await
    };
    let [paused, ended] = [call(&disabled_token).await, call(&revoked_token).await];
    assert_eq!(paused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        (&paused.headers, &paused.text),
        (&ended.headers, &ended.text)
    );

    // It cannot be rotated, and it can be resumed and revoked.
    let rotated = client.send("POST", &format!("{path}/rotate"), None).await;
    assert_error(&rotated, 409, "not_rotatable", "disabled");
    client
        .send("PATCH", &path, Some(json!({"enabled": true})))
        .await;
    assert_eq!(call(&disabled_token).await.status, StatusCode::OK);
    client
        .send("PATCH", &path, Some(json!({"enabled": false})))
        .await;
    let revocation = client.send("DELETE", &path, None).await;
    assert_eq!(revocation.status, StatusCode::OK);
    assert!(
        keys.verifier()
            .verify(disabled_token.as_bytes())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_narrowed_permission_applies_to_the_next_request() {
    let (keys, client) = acme().await;
    let (id, token) = client.create(json!({"name": "n"})).await;
    let narrowed = Client::new(&keys, &token);
    assert_eq!(narrowed.send("GET", "/", None).await.status, StatusCode::OK);
    let body = json!({"permissions": ["calls:read"]});
    client.send("PATCH", &format!("/{id}"), Some(body)).await;
    assert_eq!(
        narrowed.send("GET", "/", None).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_caller_changes_only_a_key_that_it_covers_before_and_after() {
    let (keys, root) = acme().await;
    let (strong, _) = root
        .create(json!({"name": "n", "permissions": ["*"]}))
        .await;
    let (weak, _) = root
        .create(json!({"name": "n", "permissions": ["calls:read"]}))
        .await;
    let caller = issue(&keys, "api_keys:write,calls:*").await;
    let caller = Client::new(&keys, caller.token.expose());
    let before = root.send("GET", &format!("/{strong}"), None).await;
    for body in [
        json!({"name": "mine"}),
        json!({"metadata": {"plan": "enterprise"}}),
        json!({"permissions": ["calls:read"]}),
        json!({"enabled": false}),
        json!({"expires_at": "2999-01-01T00:00:00Z"}),
        json!({"allowed_ips": ["10.0.0.1"]}),
    ] {
        let response = caller
            .send("PATCH", &format!("/{strong}"), Some(body.clone()))
            .await;
        assert_error(&response, 403, "insufficient_scope", &body.to_string());
        assert_eq!(
            response.header("www-authenticate"),
            r#"Bearer realm="api", error="insufficient_scope", scope="*""#
        );
    }
    let after = root.send("GET", &format!("/{strong}"), None).await;
    assert_eq!(after.json(), before.json());
    assert_eq!(after.header("etag"), before.header("etag"));

    let path = format!("/{weak}");
    let wider = json!({"permissions": ["calls:read", "billing:read"]});
    let response = caller.send("PATCH", &path, Some(wider)).await;
    assert_error(&response, 403, "insufficient_scope", "wider");
    let wider = json!({"permissions": ["calls:*"]});
    let response = caller.send("PATCH", &path, Some(wider)).await;
    assert_eq!(response.json()["permissions"], json!(["calls:*"]));
}

#[tokio::test]
async fn a_caller_grants_no_address_and_no_expiry_beyond_its_own() {
    let (keys, root) = acme().await;
    let workspace = Workspace::parse("acme").unwrap();
    let caller = Caller::new(workspace, "*".parse().unwrap())
        .with_allowed_ips("10.0.0.0/8".parse().unwrap())
        .with_expires_at(Timestamp::parse("2999-01-01T00:00:00Z").unwrap());
    let send = async |method: &str, path: &str, body: &Value| {
        let mut request = request(method, path, "", Some(body));
        request.extensions_mut().insert(caller.clone());
        root.send_request(request).await
    };
    let (id, _) = root.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    for addresses in [
        json!(["10.0.0.1", "192.0.2.1"]),
        json!(["0.0.0.0/0"]),
        json!(["::/0"]),
    ] {
        let body = json!({"name": "n", "allowed_ips": addresses});
        for (method, path) in [("POST", "/"), ("PATCH", &path)] {
            let response = send(method, path, &body).await;
            assert_error(&response, 403, "addresses_not_covered", &body.to_string());
            assert_eq!(
                response.header("www-authenticate"),
                r#"Bearer realm="api", error="insufficient_scope""#
            );
        }
    }
    let later = json!({"name": "n", "expires_at": "2999-01-01T00:00:00.001Z"});
    for (method, path) in [("POST", "/"), ("PATCH", &path)] {
        let response = send(method, path, &later).await;
        let message = "expires_at must not be later than the caller's own expiry";
        assert_invalid(&response, "expires_at", message, method);
    }
    assert_eq!(root.send("GET", &path, None).await.header("etag"), r#""1""#);
    // Without addresses and an end, a key gets those of the caller.
    let created = send("POST", "/", &json!({"name": "n"})).await.json();
    let cleared = send(
        "PATCH",
        &path,
        &json!({"allowed_ips": null, "expires_at": null}),
    )
    .await;
    for key in [created, cleared.json()] {
        assert_eq!(key["allowed_ips"], json!(["10.0.0.0/8"]));
        assert_eq!(key["expires_at"], "2999-01-01T00:00:00.000Z");
    }
    drop(keys);
}

/// A clock that the test sets, in seconds.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed) * 1000).unwrap()
    }
}

#[tokio::test]
async fn the_policy_bounds_the_expiry_of_every_key() {
    let clock = ManualClock(Arc::default());
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(clock.clone())
        .with_max_lifetime(Duration::from_secs(60 * 60));
    let store = Arc::new(MemoryStore::new());
    let keys = Keywright::open(config, store).await.unwrap();
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let client = Client::new(&keys, &token);
    let (id, _) = client
        .create(json!({"name": "n", "expires_at": "1970-01-01T00:30:00Z"}))
        .await;
    clock.0.store(60, Ordering::Relaxed);
    let message = "expires_at must not be later than 1970-01-01T01:00:00.000Z, which is the maximum \
                   lifetime of the key";
    // From the creation of the key, and not from now.
    let body = json!({"expires_at": "1970-01-01T01:00:00.001Z"});
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let mut update = request("PATCH", &format!("/{id}"), "", Some(&body));
    update.extensions_mut().insert(caller);
    let response = client.send_request(update).await;
    assert_invalid(&response, "expires_at", message, "policy");
    let cleared = client
        .send(
            "PATCH",
            &format!("/{id}"),
            Some(json!({"expires_at": null})),
        )
        .await;
    assert_eq!(cleared.json()["expires_at"], "1970-01-01T01:00:00.000Z");
    // An expired key stays expired.
    clock.0.store(30 * 60, Ordering::Relaxed);
    let body = json!({"expires_at": "1970-01-01T00:31:00Z"});
    client
        .send("PATCH", &format!("/{id}"), Some(body.clone()))
        .await;
    clock.0.store(31 * 60, Ordering::Relaxed);
    let response = client.send("PATCH", &format!("/{id}"), Some(body)).await;
    assert_error(&response, 409, "expired", "expired");
}

#[tokio::test]
async fn an_expired_key_cannot_be_updated() {
    let (_, client) = acme().await;
    let (expired, _) = client
        .create(json!({"name": "n", "expire_now": true}))
        .await;
    let (revoked, _) = client.create(json!({"name": "n"})).await;
    client.send("DELETE", &format!("/{revoked}"), None).await;
    for (id, status, code) in [
        (expired.as_str(), 409, "expired"),
        (&revoked, 404, "not_found"),
        ("key_0U5lKtf600000000", 404, "not_found"),
    ] {
        for body in [
            json!({"expires_at": "2999-01-01T00:00:00Z"}),
            json!({"expires_at": null}),
            json!({"name": "m"}),
            json!({"enabled": true}),
        ] {
            let response = client.send("PATCH", &format!("/{id}"), Some(body)).await;
            assert_error(&response, status, code, id);
        }
    }
}

#[tokio::test]
async fn the_expiry_of_a_rotated_key_moves_only_to_an_earlier_time() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    client.send("POST", &format!("{path}/rotate"), None).await;
    let end = client.send("GET", &path, None).await.json()["expires_at"].clone();
    for later in [json!("2999-01-01T00:00:00Z"), Value::Null] {
        let body = json!({"expires_at": later});
        let response = client.send("PATCH", &path, Some(body)).await;
        assert_error(&response, 409, "expiry_after_rotation", "later");
    }
    let renamed = client
        .send("PATCH", &path, Some(json!({"name": "old"})))
        .await;
    assert_eq!(renamed.json()["expires_at"], end);
    let same = client
        .send("PATCH", &path, Some(json!({"expires_at": end})))
        .await;
    assert_eq!(same.status, StatusCode::OK);
}

#[tokio::test]
async fn an_update_is_made_only_on_the_version_that_the_client_has_read() {
    for (store, _folder) in stores() {
        let (_, client) = acme_on(store).await;
        let created = client.send("POST", "/", Some(json!({"name": "n"}))).await;
        assert_eq!(created.header("etag"), r#""1""#);
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/{id}");
        let named = |name: &str| json!({"name": name});
        let second = client.update_if(&path, r#""1""#, named("second")).await;
        assert_eq!(
            (second.status, second.header("etag")),
            (StatusCode::OK, r#""2""#)
        );
        let stale = client.update_if(&path, r#""1""#, named("stale")).await;
        assert_error(&stale, 412, "version_mismatch", "stale");
        assert_eq!(
            client.send("GET", &path, None).await.json()["name"],
            "second"
        );
        for (condition, status) in [
            (r#""1", "2""#, 200),
            (r#""1","2" , W/"3""#, 412),
            ("*", 200),
            (r#""7", "x", "3""#, 412),
            (r#"W/"4""#, 412),
            (r#""04""#, 412),
        ] {
            let response = client.update_if(&path, condition, named(condition)).await;
            assert_eq!(
                response.status.as_u16(),
                status,
                "{condition}: {}",
                response.text
            );
        }
        let get = client.send("GET", &path, None).await;
        assert_eq!(get.header("etag"), r#""4""#);
        let head = client.send("HEAD", &path, None).await;
        assert_eq!(head.header("etag"), r#""4""#);
        // A change that changes nothing has the same version.
        let same = get.json()["name"].clone();
        let same = client
            .update_if(&path, r#""4""#, json!({"name": same}))
            .await;
        assert_eq!(
            (same.status, same.header("etag")),
            (StatusCode::OK, r#""4""#)
        );
        for malformed in ["", "4", r#""4"#, r#""4" "5""#, "W/4", r#"*, "4""#] {
            let response = client.update_if(&path, malformed, named("x")).await;
            assert_error(&response, 400, "invalid_if_match", malformed);
        }
        let nowhere = client
            .update_if("/key_0U5lKtf600000000", r#""1""#, named("x"))
            .await;
        assert_error(&nowhere, 404, "not_found", "nowhere");
        // A rotation changes the version of the old key, and the successor has a new one.
        let rotated = client.send("POST", &format!("{path}/rotate"), None).await;
        assert_eq!(rotated.header("etag"), r#""1""#);
        assert_eq!(
            client.send("GET", &path, None).await.header("etag"),
            r#""5""#
        );
    }
}

#[tokio::test]
async fn exactly_one_of_two_updates_of_a_version_is_made() {
    for (store, _folder) in stores() {
        let (_, client) = acme_on(store).await;
        let (id, _) = client.create(json!({"name": "n"})).await;
        let path = format!("/{id}");
        for round in 1..=20 {
            // Each round makes one change.
            let etag = format!("\"{round}\"");
            let change = |by: &str| {
                let body = json!({"name": format!("{by} {round}"), "metadata": {by: round}});
                client.update_if(&path, &etag, body)
            };
            let [a, b] = futures_join(change("a"), change("b")).await;
            let mut statuses = [a.status.as_u16(), b.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412]);
            let winner = if a.status == StatusCode::OK { "a" } else { "b" };
            let key = client.send("GET", &path, None).await.json();
            assert_eq!(key["name"], format!("{winner} {round}"));
            assert_eq!(key["metadata"], json!({winner: round}));
        }
    }
}

async fn futures_join<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> [T; 2] {
    let (a, b) = tokio::join!(a, b);
    [a, b]
}
