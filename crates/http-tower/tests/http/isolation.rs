//! Two workspaces, two environments: what belongs elsewhere does not exist. Every endpoint is asked
//! for every kind of key in every way that a key can be named, by everybody to whom it is foreign.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::Request;
use keywright_core::{Caller, Environment, KeyId, KeyStore, Keywright, Record, Workspace};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

use crate::common::{Answer, open, request, send, stores};

/// The kinds of keys that the victim has.
const KINDS: [&str; 8] = [
    "active",
    "expired",
    "revoked",
    "rotated",
    "successor",
    "child",
    "powerless",
    "test",
];

struct Kept {
    id: KeyId,
    token: String,
    environment: Environment,
}

struct World {
    keys: Keywright,
    store: Arc<dyn KeyStore>,
    /// The token of the workspace `acme` that made all of its keys.
    owner: String,
    victims: BTreeMap<&'static str, Kept>,
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
            let maker = match kind {
                "child" => &world.victims["active"].token,
                _ => &world.owner,
            };
            let headers = [("idempotency-key", kind)];
            let made = world.ask(maker, "POST", &path, &headers, Some(&body)).await;
            assert_eq!(made.status, 201, "{}", made.text);
            let made = made.json();
            let kept = Kept {
                id: made["id"].as_str().unwrap().parse().unwrap(),
                token: made["secret"].as_str().unwrap().to_owned(),
                environment: made["environment"].as_str().unwrap().parse().unwrap(),
            };
            world.victims.insert(kind, kept);
        }
        let revoke = format!("/{}", world.victims["revoked"].id);
        let revoked = world.ask(&world.owner, "DELETE", &revoke, &[], None).await;
        assert_eq!(revoked.status, 200);
        world
    }

    /// With a request id that is always the same, so that answers can be compared.
    async fn ask(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request: Request<Body> = request(method, path, token, body);
        let fields = request.headers_mut();
        fields.insert("x-request-id", "same".parse().unwrap());
        for (name, value) in headers {
            fields.insert(*name, value.parse().unwrap());
        }
        send(ApiKeys::nested(&self.keys, ""), request).await
    }

    /// All that the store knows of the victim's keys but their last uses, their hashes and versions
    /// too, and the keys of its workspace.
    async fn state(&self) -> (Vec<Record>, Value) {
        let mut records = Vec::new();
        for kept in self.victims.values() {
            let mut record = self.store.find(&kept.id).await.unwrap().unwrap();
            record.key.last_used_at = None;
            records.push(record);
        }
        let list = self.ask(&self.owner, "GET", "/", &[], None).await;
        let mut keys = list.json()["data"].clone();
        for key in keys.as_array_mut().unwrap() {
            key["last_used_at"] = Value::Null;
        }
        (records, keys)
    }
}

/// The token of a key with all permissions, made by an operator.
async fn issue(keys: &Keywright, workspace: &str, environment: &str) -> String {
    let operator = Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap())
        .with_environment(environment.parse().unwrap());
    let new = keywright_core::NewKey::new("stranger".parse().unwrap());
    let issued = keys.issuer().create(&operator, new).await.unwrap();
    issued.token.expose().to_owned()
}

fn ways_by_path(id: &str) -> Vec<(&'static str, String, Option<Value>)> {
    let key = format!("/{id}");
    let rotate = format!("/{id}/rotate");
    vec![
        ("GET", key.clone(), None),
        ("HEAD", key.clone(), None),
        ("PATCH", key.clone(), Some(json!({"name": "theirs"}))),
        ("PATCH", key.clone(), Some(json!({"metadata": {}}))),
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

/// Asks for everything; how many questions that were.
async fn matrix(world: &World) -> usize {
    let mut asked = 0;
    for (workspace, environment) in [("other", "live"), ("other", "test"), ("acme", "test")] {
        let who = format!("{workspace} {environment}");
        let foreign = |kept: &Kept| workspace != "acme" || kept.environment == Environment::Live;
        let stranger = issue(&world.keys, workspace, environment).await;
        let before = world.state().await;
        for (kind, kept) in world.victims.iter().filter(|(_, kept)| foreign(kept)) {
            // By its path. The answer is the one to an id that nobody has.
            for ((method, path, body), (_, nowhere, _)) in ways_by_path(&kept.id.to_string())
                .into_iter()
                .zip(ways_by_path("key_0U5lKtf600000000"))
            {
                // With the idempotency key under which the victim made it, too.
                for headers in [&[][..], &[("idempotency-key", *kind)]] {
                    let answer = world
                        .ask(&stranger, method, &path, headers, body.as_ref())
                        .await;
                    let unknown = world
                        .ask(&stranger, method, &nowhere, headers, body.as_ref())
                        .await;
                    assert_eq!(answer.status, 404, "{who}: {method} {kind} {path}");
                    assert_eq!(
                        (&answer.headers, &answer.text),
                        (&unknown.headers, &unknown.text),
                        "{who}: {method} {kind}"
                    );
                    asked += 1;
                }
            }
            // By its token.
            let body = json!({"key": kept.token});
            let answer = world
                .ask(&stranger, "POST", "/verify", &[], Some(&body))
                .await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()),
                (200, json!({"valid": false, "code": "NOT_FOUND"})),
                "{who}: {kind}"
            );
            // By what it is called, by its status, and by the cursors that lead to it.
            for query in [
                format!("search={kind}"),
                format!("search={}", kind.to_uppercase()),
                format!("search={kind}&status=active"),
                format!("search={kind}&status=expired"),
                format!("search={kind}&status=revoked"),
            ] {
                let path = format!("/?{query}");
                let listed = world.ask(&stranger, "GET", &path, &[], None).await.json();
                assert_eq!(
                    (&listed["data"], &listed["meta"]["total"]),
                    (&json!([]), &json!(0)),
                    "{who}: {query}"
                );
                asked += 1;
            }
            asked += 1;
        }
        // By the victim's cursors, with the filter that they belong to and without.
        for filter in ["", "search=e", "status=active", "search=e&status=active"] {
            let path = format!("/?limit=1&{filter}");
            let page = world
                .ask(&world.owner, "GET", &path, &[], None)
                .await
                .json();
            let cursor = page["meta"]["next_cursor"].as_str().unwrap();
            for filter in ["", filter] {
                let path = format!("/?cursor={cursor}&{filter}");
                let answer = world.ask(&stranger, "GET", &path, &[], None).await;
                assert_eq!(answer.status, 400, "{who}: {path}");
                assert_eq!(
                    answer.json()["errors"][0]["field"],
                    "cursor",
                    "{who}: {path}"
                );
                asked += 1;
            }
        }
        // By a list without any filter: there is nobody but those of its own side.
        for path in ["/", "/?limit=100", "/?status=active", "/?page=2&limit=1"] {
            let listed = world.ask(&stranger, "GET", path, &[], None).await.json();
            for key in listed["data"].as_array().unwrap() {
                let id: KeyId = key["id"].as_str().unwrap().parse().unwrap();
                let theirs = world.store.find(&id).await.unwrap().unwrap().key;
                assert_eq!(theirs.workspace.as_str(), workspace, "{who}: {path}");
                assert!(environment == "live" || theirs.environment == Environment::Test);
            }
            asked += 1;
        }
        assert_eq!(world.state().await.0, before.0, "{who}");
        if workspace == "other" {
            assert_eq!(world.state().await.1, before.1, "{who}");
        }
        // By the idempotency keys under which they were made, with the same body: what comes of it
        // is the stranger's own.
        for kind in KINDS {
            let headers = [("idempotency-key", kind)];
            let body = json!({"name": kind});
            let answer = world
                .ask(&stranger, "POST", "/", &headers, Some(&body))
                .await;
            assert_eq!(answer.status, 201, "{who}: {kind} {}", answer.text);
            let id: KeyId = answer.json()["id"].as_str().unwrap().parse().unwrap();
            let made = world.store.find(&id).await.unwrap().unwrap().key;
            assert_eq!(made.workspace.as_str(), workspace);
            assert_eq!(made.environment.as_str(), environment);
            asked += 1;
        }
        assert_eq!(world.state().await.0, before.0, "{who}");
        for kept in world.victims.values() {
            let record = world.store.find(&kept.id).await.unwrap().unwrap();
            let works = world.keys.verifier().verify(kept.token.as_bytes()).await;
            let key = &record.key;
            let active = key.revoked_at.is_none() && !key.is_expired(world.keys.issuer().now());
            assert_eq!(works.is_ok(), active);
        }
    }
    asked
}

#[tokio::test]
async fn what_belongs_elsewhere_is_404_however_it_is_named_and_never_changes() {
    for (store, _folder) in stores() {
        let world = World::new(store).await;
        // 3 strangers, 8 kinds of keys less the one that a caller of its environment may see.
        assert_eq!(matrix(&world).await, 658);
    }
}
