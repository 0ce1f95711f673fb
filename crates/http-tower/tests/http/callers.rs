//! Every caller at every endpoint: the specified status, and no effect of a rejected request.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{
    Caller, Environment, Expiry, KeyId, KeyUpdate, Keywright, ListKeys, MemoryStore, Name, NewKey,
    Reach, Workspace,
    store::{KeyStore, Record},
};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

use crate::common::{TestResponse, open, request, send};

/// The endpoints, in the order of the columns below. The first six only read. The last three are
/// about the calling key.
const ENDPOINTS: [&str; 18] = [
    "list",
    "get",
    "head",
    "verify",
    "events",
    "report",
    "create",
    "create test",
    "create live",
    "rename",
    "pause",
    "revoke",
    "cascade",
    "rotate",
    "rotate now",
    "get self",
    "rotate self",
    "revoke self",
];

/// The status that each caller gets for a `live` key or a `test` key without an owner, or for a
/// `live` key of the caller's owner (`mine`) or of another one (`theirs`).
///
/// The letter after 403 names the reason: `r`, `w` and `v` for the missing permission
/// `api_keys:read`, `api_keys:write` or `api_keys:verify`, `*` for a missing permission of the key
/// itself, and `e` for the environment. `200-` is a list, a list of events or a report
/// without the key, or a verification that reports the key as not found.
const EXPECTED: &str = "
    permissions                            state     target list    get     head    verify  events  report  create  test    live    rename  pause   revoke  cascaderotatenow     self    rotate  revoke
    *                                      live      live   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     200     201     200
    *                                      live      test   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     200     201     200
    *                                      test      live   200-    404     404     200-    200-    200-    201     201     403e    404     404     404     404     404     404     200     201     200
    *                                      test      test   200     200     200     200     200     200     201     201     403e    200     200     200     200     201     201     200     201     200
    *                                      expired   live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      expired   test   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      revoked   live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      revoked   test   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      unknown   live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      absent    live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    api_keys:*                             live      live   200     200     200     200     200     200     201     201     201     403*    403*    403*    403*    403*    403*    200     201     200
    api_keys:*                             live      test   200     200     200     200     200     200     201     201     201     403*    403*    403*    403*    403*    403*    200     201     200
    api_keys:*,calls:*                     live      live   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     200     201     200
    api_keys:*,calls:write                 live      live   200     200     200     200     200     200     201     201     201     403*    403*    403*    403*    403*    403*    200     201     200
    api_keys:read,api_keys:verify,calls:*  live      live   200     200     200     200     200     200     403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys:read,api_keys:verify,calls:*  live      test   200     200     200     200     200     200     403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys:read,api_keys:verify,calls:*  test      live   200-    404     404     200-    200-    200-    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys:write,api_keys:verify,calls:* live      live   403r    403r    403r    200     403r    403r    201     201     201     200     200     200     200     201     201     200     201     200
    api_keys:write,api_keys:verify,calls:* live      test   403r    403r    403r    200     403r    403r    201     201     201     200     200     200     200     201     201     200     201     200
    api_keys:write,api_keys:verify,calls:* test      live   403r    403r    403r    200-    403r    403r    201     201     403e    404     404     404     404     404     404     200     201     200
    api_keys:write,api_keys:verify,calls:* test      test   403r    403r    403r    200     403r    403r    201     201     403e    200     200     200     200     201     201     200     201     200
    api_keys:read,api_keys:write,calls:*   live      live   200     200     200     403v    200     200     201     201     201     200     200     200     200     201     201     200     201     200
    api_keys:read,api_keys:write,calls:*   test      live   200-    404     404     403v    200-    200-    201     201     403e    404     404     404     404     404     404     200     201     200
    api_keys:read,api_keys:write,calls:*   test      test   200     200     200     403v    200     200     201     201     403e    200     200     200     200     201     201     200     201     200
    calls:*                                live      live   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    -                                      live      live   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    -                                      live      test   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    -                                      test      live   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    -                                      test      test   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    -                                      expired   live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      host      live   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     404     404     404
    *                                      host      theirs 200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     404     404     404
    -                                      host      mine   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    404     404     404
    *                                      disabled  live   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    -                                      disabled  mine   401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401     401
    *                                      live      theirs 200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     200     201     200
    api_keys.own:*,calls:*                 live      mine   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     200     201     200
    api_keys.own:*,calls:*                 host      mine   200     200     200     200     200     200     201     201     201     200     200     200     200     201     201     404     404     404
    api_keys.own:*,calls:*                 live      live   200-    404     404     200-    200-    200-    201     201     201     404     404     404     404     404     404     200     201     200
    api_keys.own:*,calls:*                 live      theirs 200-    404     404     200-    200-    200-    201     201     201     404     404     404     404     404     404     200     201     200
    api_keys.own:*,calls:*                 live      test   200-    404     404     200-    200-    200-    201     201     201     404     404     404     404     404     404     200     201     200
    api_keys.own:*,calls:*                 test      mine   200-    404     404     200-    200-    200-    201     201     403e    404     404     404     404     404     404     200     201     200
    api_keys.own:*                         live      mine   200     200     200     200     200     200     201     201     201     403*    403*    403*    403*    403*    403*    200     201     200
    api_keys.own:*                         live      theirs 200-    404     404     200-    200-    200-    201     201     201     404     404     404     404     404     404     200     201     200
    api_keys.own:read,calls:*              live      mine   200     200     200     403v    200     200     403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys.own:read,calls:*              live      theirs 200-    404     404     403v    200-    200-    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys.own:write,calls:*             live      mine   403r    403r    403r    403v    403r    403r    201     201     201     200     200     200     200     201     201     200     201     200
    api_keys.own:verify,calls:*            live      mine   403r    403r    403r    200     403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys.own:verify,calls:*            live      theirs 403r    403r    403r    200-    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys.own:*,calls:*                 ownerless live   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys.own:*,calls:*                 ownerless mine   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     403w    200
    api_keys:read,api_keys.own:*,calls:*   live      theirs 200     200     200     200-    200     200     201     201     201     404     404     404     404     404     404     200     201     200
    api_keys.self:rotate                   live      mine   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     201     200
    api_keys.self:*                        live      live   403r    403r    403r    403v    403r    403r    403w    403w    403w    403w    403w    403w    403w    403w    403w    200     201     200
";

/// The owner of the callers, except for those without an owner.
const MEMBER: &str = "user:1";

/// The party that makes a request.
enum TestCaller {
    Key(KeyId, String),
    /// A caller of the host that is not a key.
    Host(Caller),
    Absent,
}

impl TestCaller {
    fn authenticate(&self, request: &mut Request<Body>) {
        match self {
            Self::Key(_, token) => {
                let bearer = format!("Bearer {token}").parse().unwrap();
                request.headers_mut().insert("authorization", bearer);
            }
            Self::Host(caller) => {
                request.extensions_mut().insert(caller.clone());
            }
            Self::Absent => {}
        }
    }
}

struct World {
    keys: Keywright,
    store: Arc<MemoryStore>,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self {
            keys: open(Arc::clone(&store) as Arc<dyn KeyStore>).await,
            store,
        }
    }

    fn operator() -> Caller {
        Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap())
    }

    /// Creates a key as an operator. Returns its id and its token.
    async fn key(
        &self,
        permissions: &str,
        environment: Environment,
        owner: Option<&str>,
        expiry: Expiry,
    ) -> (KeyId, String) {
        let mut new = NewKey::new(Name::parse("n").unwrap());
        new.permissions = Some(permissions.parse().unwrap());
        new.environment = Some(environment);
        new.expiry = expiry;
        let operator = match owner {
            Some(owner) => Self::operator().with_owner(owner.parse().unwrap()),
            None => Self::operator(),
        };
        let issued = self.keys.issuer().create(&operator, new).await.unwrap();
        (issued.key.id, issued.token.expose().to_owned())
    }

    /// Creates the key that the endpoints are called about.
    async fn target(&self, target: &str) -> (KeyId, String) {
        let (environment, owner) = match target {
            "live" => (Environment::Live, None),
            "test" => (Environment::Test, None),
            "mine" => (Environment::Live, Some(MEMBER)),
            "theirs" => (Environment::Live, Some("user:2")),
            other => unreachable!("{other}"),
        };
        self.key("calls:read", environment, owner, Expiry::Inherited)
            .await
    }

    async fn caller(&self, permissions: &str, state: &str) -> TestCaller {
        let permissions = if permissions == "-" { "" } else { permissions };
        let (environment, expiry) = match state {
            "test" => (Environment::Test, Expiry::Inherited),
            "expired" => (Environment::Live, Expiry::Now),
            _ => (Environment::Live, Expiry::Inherited),
        };
        let owner = (state != "ownerless").then_some(MEMBER);
        let issuer = self.keys.issuer();
        match state {
            "absent" => return TestCaller::Absent,
            "host" => {
                let caller = Caller::new(
                    Self::operator().workspace().clone(),
                    permissions.parse().unwrap(),
                );
                return TestCaller::Host(caller.with_owner(MEMBER.parse().unwrap()));
            }
            "unknown" => {
                let elsewhere = Self::new().await;
                let (id, token) = elsewhere.key(permissions, environment, owner, expiry).await;
                return TestCaller::Key(id, token);
            }
            _ => {}
        }
        let (id, token) = self.key(permissions, environment, owner, expiry).await;
        match state {
            "revoked" => {
                let revoked = issuer.revoke(&Self::operator(), &id, Reach::Key).await;
                assert!(revoked.is_ok());
            }
            "disabled" => {
                let pause = KeyUpdate::new().with_enabled(false);
                let paused = issuer.update(&Self::operator(), &id, &pause).await;
                assert!(paused.is_ok());
            }
            _ => {}
        }
        TestCaller::Key(id, token)
    }

    /// The record of a key, without its last use: the library writes that in the background, at a
    /// time that the test does not control.
    async fn record(&self, id: &KeyId) -> Record {
        let mut record = self.store.find(id).await.unwrap().unwrap();
        record.key.last_used_at = None;
        record
    }

    /// The number of keys.
    async fn count(&self) -> u64 {
        let all = ListKeys::new();
        let listed = self
            .keys
            .issuer()
            .list(&Self::operator(), all)
            .await
            .unwrap();
        listed.total.unwrap()
    }
}

/// The method, path and body of a request to an endpoint about a key.
fn request_parts(endpoint: &str, id: &KeyId, token: &str) -> (&'static str, String, Option<Value>) {
    let key = format!("/{id}");
    match endpoint {
        "list" => ("GET", "/?limit=100".into(), None),
        "get" => ("GET", key, None),
        "head" => ("HEAD", key, None),
        "verify" => ("POST", "/verify".into(), Some(json!({"key": token}))),
        "events" => ("GET", format!("/events?key_id={id}"), None),
        "report" => ("GET", "/report".into(), None),
        "create" => ("POST", "/".into(), Some(json!({"name": "n"}))),
        "create test" => (
            "POST",
            "/".into(),
            Some(json!({"name": "n", "environment": "test"})),
        ),
        "create live" => (
            "POST",
            "/".into(),
            Some(json!({"name": "n", "environment": "live"})),
        ),
        "rename" => ("PATCH", key, Some(json!({"name": "m"}))),
        "pause" => ("PATCH", key, Some(json!({"enabled": false}))),
        "revoke" => ("DELETE", key, None),
        "cascade" => ("DELETE", format!("{key}?cascade=true"), None),
        "rotate" => ("POST", format!("{key}/rotate"), None),
        "rotate now" => (
            "POST",
            format!("{key}/rotate"),
            Some(json!({"expire_previous": "now"})),
        ),
        "get self" => ("GET", "/self".into(), None),
        "rotate self" => ("POST", "/self/rotate".into(), None),
        "revoke self" => ("DELETE", "/self".into(), None),
        other => unreachable!("{other}"),
    }
}

/// The challenge in the response with this status.
fn challenge(expected: &str) -> &'static str {
    match expected.split_at(3) {
        ("401", _) => r#"Bearer realm="api", error="invalid_token""#,
        ("403", "r") => r#"Bearer realm="api", error="insufficient_scope", scope="api_keys:read""#,
        ("403", "w") => r#"Bearer realm="api", error="insufficient_scope", scope="api_keys:write""#,
        ("403", "v") => {
            r#"Bearer realm="api", error="insufficient_scope", scope="api_keys:verify""#
        }
        ("403", "*") => r#"Bearer realm="api", error="insufficient_scope", scope="calls:read""#,
        ("403", "e") => r#"Bearer realm="api", error="insufficient_scope""#,
        _ => "",
    }
}

#[tokio::test]
async fn every_caller_gets_the_specified_response_at_every_endpoint() {
    let world = World::new().await;
    let mut cells = 0;
    for row in EXPECTED.trim().lines().skip(1) {
        let mut row = row.split_whitespace();
        let [permissions, state, target] = [(); 3].map(|()| row.next().unwrap());
        let caller = world.caller(permissions, state).await;
        for endpoint in ENDPOINTS {
            let expected = row.next().unwrap();
            let cell = format!("{permissions} {state}: {endpoint} of a {target} key");
            // Each cell has a separate key.
            let (id, token) = world.target(target).await;
            let (before, count) = (world.record(&id).await, world.count().await);
            let (method, path, body) = request_parts(endpoint, &id, &token);
            let mut request = request(method, &path, "", body.as_ref());
            request.headers_mut().remove("authorization");
            caller.authenticate(&mut request);
            let response = send(ApiKeys::nested(&world.keys, ""), request).await;
            assert_eq!(
                response.status.as_str(),
                &expected[..3],
                "{cell}: {}",
                response.text
            );
            let expected_challenge = match state {
                "absent" => r#"Bearer realm="api""#,
                _ => challenge(expected),
            };
            assert_eq!(
                response.header("www-authenticate"),
                expected_challenge,
                "{cell}"
            );
            let after = world.record(&id).await;
            let created = world.count().await - count;
            if response.status.is_success() {
                assert_effect(endpoint, expected, &before, &after, created, &response);
                if let TestCaller::Key(id, _) = &caller {
                    assert_own_effect(endpoint, &world.record(id).await, &response);
                }
            } else {
                assert_eq!((after, created), (before, 0), "{cell}");
            }
            cells += 1;
        }
        assert_eq!(row.next(), None, "{permissions} {state}");
    }
    assert_eq!(cells, 54 * ENDPOINTS.len());
}

/// Asserts that a successful request had its documented effect on the key, and no other.
fn assert_effect(
    endpoint: &str,
    expected: &str,
    before: &Record,
    after: &Record,
    created: u64,
    response: &TestResponse,
) {
    let id = before.key.id.to_string();
    let body = || response.json();
    match endpoint {
        "list" => {
            let listed = body()["data"].as_array().unwrap().clone();
            let shown = listed.iter().any(|key| key["id"] == id.as_str());
            assert_eq!(shown, expected == "200");
        }
        "events" => {
            let events = body()["data"].as_array().unwrap().clone();
            assert!(events.iter().all(|event| event["key_id"] == id.as_str()));
            assert_eq!(events.len(), usize::from(expected == "200"));
        }
        "report" => {
            let unused = body()["sections"]["never_used"]["data"].clone();
            let mut keys = unused.as_array().unwrap().iter();
            let shown = keys.any(|key| key["id"] == id.as_str());
            assert_eq!(shown, expected == "200");
        }
        "get" => assert_eq!(body()["id"], id),
        "verify" if expected == "200-" => {
            assert_eq!(body(), json!({"valid": false, "code": "NOT_FOUND"}));
        }
        "verify" => assert_eq!(
            (&body()["valid"], &body()["id"]),
            (&json!(true), &json!(id))
        ),
        "rename" => assert_eq!(after.key.name.as_str(), "m"),
        "pause" => assert!(!after.key.enabled),
        "revoke" | "cascade" => assert!(after.key.revoked_at.is_some()),
        "rotate" | "rotate now" => {
            assert_eq!(body()["id"], after.key.successor.unwrap().to_string());
            assert_eq!(after.key.revoked_at.is_some(), endpoint == "rotate now");
        }
        "create test" => assert_eq!(body()["environment"], "test"),
        "create live" => assert_eq!(body()["environment"], "live"),
        _ => {}
    }
    let changes = [
        "rename",
        "pause",
        "revoke",
        "cascade",
        "rotate",
        "rotate now",
    ];
    assert_eq!(*before != *after, changes.contains(&endpoint), "{endpoint}");
    let creates = endpoint.starts_with("create") || endpoint.starts_with("rotate");
    assert_eq!(
        (created, response.status == StatusCode::CREATED),
        (u64::from(creates), creates)
    );
    let secret = if response.text.is_empty() {
        Value::Null
    } else {
        body()["secret"].clone()
    };
    assert_eq!(secret.is_string(), creates, "{endpoint}");
}

/// Asserts that a successful request about the calling key had its documented effect on that key.
fn assert_own_effect(endpoint: &str, own: &Record, response: &TestResponse) {
    let id = own.key.id.to_string();
    match endpoint {
        "get self" => assert_eq!(response.json()["id"], id),
        "rotate self" => {
            let successor = own.key.successor.unwrap().to_string();
            assert_eq!(response.json()["id"], successor);
            assert_eq!(response.json()["predecessor_id"], id);
            assert_eq!(response.json()["rotated_by_id"], id);
        }
        _ => assert_eq!(own.key.revoked_at.is_some(), endpoint == "revoke self"),
    }
}
