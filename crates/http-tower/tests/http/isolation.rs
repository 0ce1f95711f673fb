//! Isolation of workspaces and environments: a foreign key does not exist.
//!
//! Callers from another workspace or environment call every endpoint about every kind of key, and
//! name the key in every possible way.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::Request;
use keywright_core::{
    Caller, Environment, KeyId, Keywright, Status, Workspace,
    store::{KeyStore, Record},
};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

use crate::common::{TestResponse, open, request, send, stores};

/// The kinds of keys of the victim.
const KINDS: [&str; 9] = [
    "active",
    "disabled",
    "expired",
    "revoked",
    "rotated",
    "successor",
    "child",
    "powerless",
    "test",
];

struct Victim {
    id: KeyId,
    token: String,
    environment: Environment,
}

struct World {
    keys: Keywright,
    store: Arc<dyn KeyStore>,
    /// The token of the key in the workspace `acme` that created the other keys.
    owner: String,
    victims: BTreeMap<&'static str, Victim>,
}

impl World {
    async fn new(store: Arc<dyn KeyStore>) -> Self {
        let keys = open(Arc::clone(&store)).await;
        let mut world = Self {
            owner: issue(&keys, "acme", "live").await,
            keys,
            store,
            victims: BTreeMap::new(),
        };
        for kind in KINDS {
            let (path, body) = match kind {
                "expired" => ("/".into(), json!({"name": kind, "expire_now": true})),
                "powerless" => ("/".into(), json!({"name": kind, "permissions": []})),
                "test" => ("/".into(), json!({"name": kind, "environment": "test"})),
                "successor" => (
                    format!("/{}/rotate", world.victims["rotated"].id),
                    json!({}),
                ),
                _ => ("/".into(), json!({"name": kind})),
            };
            let creator = match kind {
                "child" => &world.victims["active"].token,
                _ => &world.owner,
            };
            let headers = [("idempotency-key", kind)];
            let created = world
                .send(creator, "POST", &path, &headers, Some(&body))
                .await;
            assert_eq!(created.status, 201, "{}", created.text);
            let created = created.json();
            let victim = Victim {
                id: created["id"].as_str().unwrap().parse().unwrap(),
                token: created["secret"].as_str().unwrap().to_owned(),
                environment: created["environment"].as_str().unwrap().parse().unwrap(),
            };
            world.victims.insert(kind, victim);
        }
        let revoke = format!("/{}", world.victims["revoked"].id);
        let revoked = world.send(&world.owner, "DELETE", &revoke, &[], None).await;
        assert_eq!(revoked.status, 200);
        let disabled = format!("/{}", world.victims["disabled"].id);
        let pause = json!({"enabled": false});
        let paused = world
            .send(&world.owner, "PATCH", &disabled, &[], Some(&pause))
            .await;
        assert_eq!(paused.status, 200);
        world
    }

    /// Sends a request. The request id is always the same, so that responses can be compared.
    async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> TestResponse {
        let mut request: Request<Body> = request(method, path, token, body);
        let fields = request.headers_mut();
        fields.insert("x-request-id", "same".parse().unwrap());
        for (name, value) in headers {
            fields.insert(*name, value.parse().unwrap());
        }
        send(ApiKeys::nested(&self.keys, ""), request).await
    }

    /// The records of the victim's keys, including their hashes and versions, and the list of the
    /// keys of its workspace. Both are without the last uses.
    async fn state(&self) -> (Vec<Record>, Value) {
        let mut records = Vec::new();
        for victim in self.victims.values() {
            let mut record = self.store.find(&victim.id).await.unwrap().unwrap();
            record.key.last_used_at = None;
            records.push(record);
        }
        let list = self.send(&self.owner, "GET", "/", &[], None).await;
        let mut keys = list.json()["data"].clone();
        for key in keys.as_array_mut().unwrap() {
            key["last_used_at"] = Value::Null;
        }
        (records, keys)
    }
}

/// Creates a key with all permissions. Returns its token.
async fn issue(keys: &Keywright, workspace: &str, environment: &str) -> String {
    let operator = Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap())
        .with_environment(environment.parse().unwrap());
    let new = keywright_core::NewKey::new("stranger".parse().unwrap());
    let issued = keys.issuer().create(&operator, new).await.unwrap();
    issued.token.expose().to_owned()
}

/// Every request that names a key by the id in its path.
fn requests_by_path(id: &str) -> Vec<(&'static str, String, Option<Value>)> {
    let key = format!("/{id}");
    let rotate = format!("/{id}/rotate");
    vec![
        ("GET", key.clone(), None),
        ("HEAD", key.clone(), None),
        ("PATCH", key.clone(), Some(json!({"name": "theirs"}))),
        ("PATCH", key.clone(), Some(json!({"metadata": {}}))),
        ("PATCH", key.clone(), Some(json!({"enabled": false}))),
        (
            "PATCH",
            key.clone(),
            Some(json!({"permissions": [], "expires_at": null, "allowed_ips": null})),
        ),
        ("DELETE", key.clone(), None),
        ("DELETE", format!("{key}?cascade=false"), None),
        ("DELETE", format!("{key}?cascade=true"), None),
        ("POST", rotate.clone(), None),
        (
            "POST",
            rotate.clone(),
            Some(json!({"expire_previous": "now"})),
        ),
        (
            "POST",
            rotate,
            Some(json!({"expire_previous": 60, "expires_at": "2999-01-01T00:00:00Z"})),
        ),
    ]
}

/// Sends every request as every foreign caller. Returns the number of checks.
async fn check_all(world: &World) -> usize {
    let mut checks = 0;
    for (workspace, environment) in [("other", "live"), ("other", "test"), ("acme", "test")] {
        let caller = format!("{workspace} {environment}");
        let foreign =
            |victim: &Victim| workspace != "acme" || victim.environment == Environment::Live;
        let stranger = issue(&world.keys, workspace, environment).await;
        let before = world.state().await;
        for (kind, victim) in world.victims.iter().filter(|(_, victim)| foreign(victim)) {
            // By its path. The response is the same as for an id without a key.
            for ((method, path, body), (_, nowhere, _)) in requests_by_path(&victim.id.to_string())
                .into_iter()
                .zip(requests_by_path("key_0U5lKtf600000000"))
            {
                // Also with the idempotency key of the request that created it.
                for headers in [&[][..], &[("idempotency-key", *kind)]] {
                    let response = world
                        .send(&stranger, method, &path, headers, body.as_ref())
                        .await;
                    let unknown = world
                        .send(&stranger, method, &nowhere, headers, body.as_ref())
                        .await;
                    assert_eq!(response.status, 404, "{caller}: {method} {kind} {path}");
                    assert_eq!(
                        (&response.headers, &response.text),
                        (&unknown.headers, &unknown.text),
                        "{caller}: {method} {kind}"
                    );
                    checks += 1;
                }
            }
            // By its token.
            let body = json!({"key": victim.token});
            let response = world
                .send(&stranger, "POST", "/verify", &[], Some(&body))
                .await;
            assert_eq!(
                (response.status.as_u16(), response.json()),
                (200, json!({"valid": false, "code": "NOT_FOUND"})),
                "{caller}: {kind}"
            );
            // By its name and its status.
            for query in [
                format!("search={kind}"),
                format!("search={}", kind.to_uppercase()),
                format!("search={kind}&status=active"),
                format!("search={kind}&status=disabled"),
                format!("search={kind}&status=expired"),
                format!("search={kind}&status=revoked"),
            ] {
                let path = format!("/?{query}");
                let listed = world.send(&stranger, "GET", &path, &[], None).await.json();
                assert_eq!(
                    (&listed["data"], &listed["meta"]["total"]),
                    (&json!([]), &json!(0)),
                    "{caller}: {query}"
                );
                checks += 1;
            }
            checks += 1;
            // By its events.
            let path = format!("/events?key_id={}", victim.id);
            let events = world.send(&stranger, "GET", &path, &[], None).await.json();
            let empty = json!({"data": [], "meta": {"limit": 20, "nextCursor": null}});
            assert_eq!(events, empty, "{caller}: {kind}");
            checks += 1;
        }
        // By the report and the events of all keys, which contain only the caller's side.
        let report = world.send(&stranger, "GET", "/report", &[], None).await;
        let events = world
            .send(&stranger, "GET", "/events?limit=100", &[], None)
            .await;
        for (kind, victim) in world.victims.iter().filter(|(_, victim)| foreign(victim)) {
            for response in [&report, &events] {
                assert_eq!(response.status, 200, "{caller}");
                assert!(
                    !response.text.contains(&victim.id.to_string()),
                    "{caller}: {kind}"
                );
                checks += 1;
            }
        }
        let page = world
            .send(&world.owner, "GET", "/events?limit=1", &[], None)
            .await
            .json();
        let cursor = page["meta"]["nextCursor"].as_str().unwrap();
        let path = format!("/events?cursor={cursor}");
        let response = world.send(&stranger, "GET", &path, &[], None).await;
        assert_eq!(response.status, 400, "{caller}: {path}");
        checks += 1;
        // By cursors of the victim, with their filter and without.
        for filter in ["", "search=e", "status=active", "search=e&status=active"] {
            let path = format!("/?limit=1&{filter}");
            let page = world
                .send(&world.owner, "GET", &path, &[], None)
                .await
                .json();
            let cursor = page["meta"]["nextCursor"].as_str().unwrap();
            for filter in ["", filter] {
                let path = format!("/?cursor={cursor}&{filter}");
                let response = world.send(&stranger, "GET", &path, &[], None).await;
                assert_eq!(response.status, 400, "{caller}: {path}");
                assert_eq!(
                    response.json()["errors"][0]["field"],
                    "cursor",
                    "{caller}: {path}"
                );
                checks += 1;
            }
        }
        // By a list without a filter, which contains only the caller's side.
        for path in ["/", "/?limit=100", "/?status=active", "/?page=2&limit=1"] {
            let listed = world.send(&stranger, "GET", path, &[], None).await.json();
            for key in listed["data"].as_array().unwrap() {
                let id: KeyId = key["id"].as_str().unwrap().parse().unwrap();
                let theirs = world.store.find(&id).await.unwrap().unwrap().key;
                assert_eq!(theirs.workspace.as_str(), workspace, "{caller}: {path}");
                assert!(environment == "live" || theirs.environment == Environment::Test);
            }
            checks += 1;
        }
        assert_eq!(world.state().await.0, before.0, "{caller}");
        if workspace == "other" {
            assert_eq!(world.state().await.1, before.1, "{caller}");
        }
        // By the idempotency keys of the requests that created them, with the same body. This
        // creates keys of the stranger.
        for kind in KINDS {
            let headers = [("idempotency-key", kind)];
            let body = json!({"name": kind});
            let response = world
                .send(&stranger, "POST", "/", &headers, Some(&body))
                .await;
            assert_eq!(response.status, 201, "{caller}: {kind} {}", response.text);
            let id: KeyId = response.json()["id"].as_str().unwrap().parse().unwrap();
            let created = world.store.find(&id).await.unwrap().unwrap().key;
            assert_eq!(created.workspace.as_str(), workspace);
            assert_eq!(created.environment.as_str(), environment);
            checks += 1;
        }
        assert_eq!(world.state().await.0, before.0, "{caller}");
        for victim in world.victims.values() {
            let record = world.store.find(&victim.id).await.unwrap().unwrap();
            let result = world.keys.verifier().verify(victim.token.as_bytes()).await;
            let key = &record.key;
            let status = key.status(world.keys.issuer().now());
            assert_eq!(result.is_ok(), status == Status::Active);
        }
    }
    checks
}

#[tokio::test]
async fn a_foreign_key_is_404_and_unchanged_however_it_is_named() {
    for (store, _folder) in stores() {
        let world = World::new(store).await;
        // 3 strangers and 9 kinds of keys, without the `test` key for the caller that may see it.
        assert_eq!(check_all(&world).await, 869 + 26 * 3 + 3);
    }
}
