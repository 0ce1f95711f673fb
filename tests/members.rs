//! Members of an organisation manage their own keys, and reach no other.

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, FAST_UNLIMITED, Response, Server, id_of, keys, keys_json, operator_key,
};

const BASE: &str = "/v1/api-keys";

/// A server with the keys of an organisation and of its members.
struct Organisation {
    folder: TempDir,
    server: Server,
    admin: String,
}

/// A key that a request is made for.
struct Target {
    what: &'static str,
    token: String,
    workspace: &'static str,
}

impl Target {
    fn id(&self) -> String {
        id_of(&self.token)
    }
}

impl Organisation {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let admin = operator_key(folder.path(), &FAST);
        let server = Server::start(folder.path(), &FAST_UNLIMITED);
        Self {
            folder,
            server,
            admin,
        }
    }

    /// Creates a key with these options of the command line.
    fn key(&self, options: &[&str]) -> String {
        operator_key(self.folder.path(), &[&FAST, options].concat())
    }

    fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Response {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.server
            .send(method, &format!("{BASE}{path}"), token, &body)
    }

    /// Returns a key as the operator sees it, without its last use.
    fn state(&self, id: &str, workspace: &str) -> Value {
        let mut key = keys_json(self.folder.path(), &["get", id, "--workspace", workspace]);
        let _ = key["last_used_at"].take();
        key
    }

    /// Returns keys that no member with the owner `anna` reaches.
    fn foreign_keys(&self) -> Vec<Target> {
        let read = ["--permissions", "calls:read"];
        let target = |what, workspace, options: &[&str]| Target {
            what,
            token: self.key(&[&read, options].concat()),
            workspace,
        };
        let other = ["--workspace", "other", "--owner", "anna"];
        vec![
            target("of another owner", "default", &["--owner", "ben"]),
            target(
                "of an owner with a longer name",
                "default",
                &["--owner", "anna2"],
            ),
            target("of an owner in capitals", "default", &["--owner", "ANNA"]),
            target("of no owner", "default", &[]),
            target("of the owner in another workspace", "other", &other),
        ]
    }
}

/// Returns all requests for one key: method, path and body.
fn requests_for(id: &str) -> Vec<(&'static str, String, Value)> {
    let path = format!("/{id}");
    vec![
        ("GET", path.clone(), Value::Null),
        ("PATCH", path.clone(), json!({"name": "taken"})),
        ("PATCH", path.clone(), json!({"enabled": false})),
        ("PATCH", path.clone(), json!({"permissions": ["calls:*"]})),
        ("POST", format!("{path}/rotate"), Value::Null),
        (
            "POST",
            format!("{path}/rotate"),
            json!({"expire_previous": "now"}),
        ),
        ("DELETE", path.clone(), Value::Null),
        ("DELETE", format!("{path}?cascade=true"), Value::Null),
    ]
}

/// A caller that reaches none of the foreign keys.
struct Outsider {
    what: &'static str,
    token: String,
    /// The status of each of its requests for such a key.
    status: u16,
}

impl Organisation {
    fn outsiders(&self) -> Vec<Outsider> {
        let outsider = |what, status, options: &[&str]| Outsider {
            what,
            token: self.key(options),
            status,
        };
        let anna = ["--owner", "anna"];
        let own = ["--permissions", "api_keys.own:*,calls:*"];
        let each = "api_keys.own:read,api_keys.own:write,api_keys.own:verify,calls:*";
        let test = ["--environment", "test"];
        vec![
            outsider("a member", 404, &[anna, own].concat()),
            outsider(
                "a member with each permission",
                404,
                &[anna, ["--permissions", each]].concat(),
            ),
            outsider("a test member", 404, &[anna, own, test].concat()),
            outsider("a key without an owner", 403, &own),
            outsider(
                "a member without permissions for keys",
                403,
                &[anna, ["--permissions", "calls:*"]].concat(),
            ),
            outsider(
                "an administrator of another workspace",
                404,
                &["--workspace", "elsewhere"],
            ),
        ]
    }
}

#[test]
fn no_request_of_an_outsider_reaches_a_key() {
    let organisation = Organisation::start();
    let targets = organisation.foreign_keys();
    let mut requests = 0;
    for caller in organisation.outsiders() {
        let send = |method: &str, path: &str, body: &Value| {
            organisation.send(method, path, &caller.token, body)
        };
        let unknown: Vec<_> = requests_for("key_0U5lKtf600000000")
            .iter()
            .map(|(method, path, body)| send(method, path, body).without_request_id())
            .collect();
        for target in &targets {
            let pair = format!("{}, a key {}", caller.what, target.what);
            let id = target.id();
            let before = organisation.state(&id, target.workspace);
            for ((method, path, body), unknown) in requests_for(&id).iter().zip(&unknown) {
                let response = send(method, path, body);
                assert_eq!(response.status, caller.status, "{pair}: {response:?}");
                // The response does not depend on whether the key exists.
                let response = response.without_request_id();
                assert_eq!(&response, unknown, "{pair}: {method} {path} {body}");
                requests += 1;
            }
            let verified = send("POST", "/verify", &json!({"key": target.token}));
            if caller.status == 404 {
                let not_found = json!({"valid": false, "code": "NOT_FOUND"});
                assert_eq!(verified.without_request_id(), (200, not_found), "{pair}");
            } else {
                assert_eq!(verified.status, 403, "{pair}: {verified:?}");
            }
            for query in [
                "?limit=100",
                "?owner=ben",
                "?owner=anna2",
                "?search=operator",
            ] {
                let listed = send("GET", query, &Value::Null);
                assert!(!listed.body.contains(&id), "{pair}: {query}: {listed:?}");
                requests += 1;
            }
            requests += 1;
            assert_eq!(organisation.state(&id, target.workspace), before, "{pair}");
            assert_eq!(organisation.server.whoami(&target.token).status, 200);
        }
    }
    assert_eq!(requests, 6 * 5 * 13);
}

#[test]
fn a_test_member_reaches_no_live_key_of_the_same_owner() {
    let organisation = Organisation::start();
    let live = id_of(&organisation.key(&["--owner", "anna", "--permissions", "calls:read"]));
    let member = ["--owner", "anna", "--permissions", "api_keys.own:*,calls:*"];
    let test = organisation.key(&[&member[..], &["--environment", "test"]].concat());
    let before = organisation.state(&live, "default");
    for (method, path, body) in requests_for(&live) {
        let response = organisation.send(method, &path, &test, &body);
        assert_eq!(response.status, 404, "{method} {path} {body}: {response:?}");
    }
    assert_eq!(organisation.state(&live, "default"), before);
    let listed = organisation.send("GET", "", &test, &Value::Null).json();
    assert_eq!(listed["meta"]["total"], 1, "{listed}");
}

#[test]
fn a_member_manages_the_keys_of_the_same_owner_and_those_that_they_create() {
    let organisation = Organisation::start();
    let permissions = ["--permissions", "api_keys.own:*,calls:*"];
    let member = organisation.key(&[&["--owner", "anna"], &permissions[..]].concat());
    let sibling = id_of(&organisation.key(&["--owner", "anna", "--permissions", "calls:read"]));
    let foreign = organisation.foreign_keys();
    let created = organisation.send("POST", "", &member, &json!({"name": "laptop"}));
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["owner"], "anna");
    let below = created.text("secret");
    for caller in [&member, &below] {
        let listed = organisation
            .send("GET", "?limit=100", caller, &Value::Null)
            .json();
        let listed = listed["data"].as_array().unwrap();
        assert!(listed.len() >= 3, "{listed:?}");
        assert!(
            listed.iter().all(|key| key["owner"] == "anna"),
            "{listed:?}"
        );
        for target in &foreign {
            let hidden =
                organisation.send("GET", &format!("/{}", target.id()), caller, &Value::Null);
            assert_eq!(hidden.status, 404, "{}", target.what);
        }
        for (change, field) in [
            (json!({"name": "renamed"}), "name"),
            (json!({"enabled": false}), "enabled"),
            (json!({"enabled": true}), "enabled"),
        ] {
            let path = format!("/{sibling}");
            let updated = organisation.send("PATCH", &path, caller, &change);
            assert_eq!(updated.status, 200, "{updated:?}");
            assert_eq!(updated.json()[field], change[field]);
        }
        let rotated =
            organisation.send("POST", &format!("/{sibling}/rotate"), caller, &Value::Null);
        // The first caller rotates the key, so that the second one finds it rotated.
        let expected = if *caller == member { 201 } else { 409 };
        assert_eq!(rotated.status, expected, "{rotated:?}");
        if expected == 201 {
            let successor = id_of(&rotated.text("secret"));
            assert_eq!(organisation.state(&successor, "default")["owner"], "anna");
            let revoked =
                organisation.send("DELETE", &format!("/{successor}"), caller, &Value::Null);
            assert_eq!(revoked.status, 200, "{revoked:?}");
        }
        let presented = json!({"key": below});
        let verified = organisation.send("POST", "/verify", caller, &presented);
        assert_eq!(verified.json()["valid"], true, "{verified:?}");
    }
    // No member can give a key a permission for the keys of others, or another owner.
    for body in [
        json!({"name": "n", "permissions": ["api_keys:read"]}),
        json!({"name": "n", "permissions": ["*"]}),
        json!({"name": "n", "owner": "ben"}),
    ] {
        let rejected = organisation.send("POST", "", &member, &body);
        assert!(
            [400, 403].contains(&rejected.status),
            "{body}: {rejected:?}"
        );
    }
    let widened = json!({"permissions": ["api_keys:write"]});
    let rejected = organisation.send("PATCH", &format!("/{sibling}"), &member, &widened);
    assert_eq!(rejected.status, 403, "{rejected:?}");
}

#[test]
fn a_key_finds_and_revokes_itself_and_rotates_itself_only_with_the_permission() {
    let organisation = Organisation::start();
    let plain = organisation.key(&["--permissions", "calls:read"]);
    let renewing = organisation.key(&["--permissions", "calls:read,api_keys.self:rotate"]);
    for token in [&plain, &renewing] {
        let me = organisation.send("GET", "/self", token, &Value::Null);
        assert_eq!((me.status, me.text("id")), (200, id_of(token)));
        for (method, path) in [("GET", ""), ("GET", "/key_0U5lKtf600000000")] {
            let rejected = organisation.send(method, path, token, &Value::Null);
            assert_eq!(rejected.status, 403, "{method} {path}: {rejected:?}");
        }
        let renamed = json!({"name": "renamed"});
        let rejected = organisation.send("PATCH", &format!("/{}", id_of(token)), token, &renamed);
        assert_eq!(rejected.status, 403, "{rejected:?}");
    }
    let rejected = organisation.send("POST", "/self/rotate", &plain, &Value::Null);
    assert_eq!(rejected.status, 403, "{rejected:?}");
    let now = json!({"expire_previous": "now"});
    let rotated = organisation.send("POST", "/self/rotate", &renewing, &now);
    assert_eq!(rotated.status, 201, "{rotated:?}");
    let successor = rotated.text("secret");
    assert_eq!(organisation.server.whoami(&renewing).status, 401);
    for token in [&plain, &successor] {
        let revoked = organisation.send("DELETE", "/self", token, &Value::Null);
        assert_eq!(revoked.status, 200, "{revoked:?}");
        assert_eq!(organisation.server.whoami(token).status, 401);
    }
}

#[test]
fn a_weak_key_can_neither_rename_nor_revoke_a_key_with_all_permissions() {
    let organisation = Organisation::start();
    let weak = organisation.key(&["--permissions", "api_keys:*,calls:*"]);
    let strong = id_of(&organisation.admin);
    let before = organisation.state(&strong, "default");
    for (method, path, body) in requests_for(&strong) {
        let response = organisation.send(method, &path, &weak, &body);
        let expected = if method == "GET" { 200 } else { 403 };
        assert_eq!(
            response.status, expected,
            "{method} {path} {body}: {response:?}"
        );
    }
    assert_eq!(organisation.state(&strong, "default"), before);
    assert_eq!(organisation.server.whoami(&organisation.admin).status, 200);
    // Nor a key that it covers, but only after the change.
    let narrow = id_of(&organisation.key(&["--permissions", "billing:read"]));
    let change = json!({"permissions": ["calls:read"]});
    let rejected = organisation.send("PATCH", &format!("/{narrow}"), &weak, &change);
    assert_eq!(rejected.status, 403, "{rejected:?}");
}

#[test]
fn clients_change_metadata_and_never_attributes() {
    let organisation = Organisation::start();
    let attributes = json!({"plan": "pro"});
    let token = organisation.key(&["--attributes", &attributes.to_string()]);
    let id = id_of(&token);
    let attributes_of = |id: &str| organisation.state(id, "default")["attributes"].clone();
    assert_eq!(attributes_of(&id), attributes);

    let enterprise = json!({"metadata": {"plan": "enterprise"}});
    let updated = organisation.send("PATCH", &format!("/{id}"), &token, &enterprise);
    assert_eq!(updated.status, 200, "{updated:?}");
    assert_eq!(updated.json()["metadata"], enterprise["metadata"]);
    assert_eq!(attributes_of(&id), attributes);
    let cleared = organisation.send(
        "PATCH",
        &format!("/{id}"),
        &token,
        &json!({"metadata": null}),
    );
    assert_eq!(cleared.status, 200, "{cleared:?}");
    assert_eq!(attributes_of(&id), attributes);
    for (method, path) in [("PATCH", format!("/{id}")), ("POST", String::new())] {
        let body = json!({"name": "n", "attributes": {"plan": "enterprise"}});
        let rejected = organisation.send(method, &path, &token, &body);
        assert_eq!(rejected.status, 400, "{rejected:?}");
        assert!(
            rejected.body.contains(r#"unknown field \"attributes\""#),
            "{rejected:?}"
        );
    }

    // Children and successors inherit them, and no response contains them.
    let child = organisation.send("POST", "", &token, &json!({"name": "child"}));
    let rotate = format!("/{}/rotate", child.text("id"));
    let successor = organisation.send("POST", &rotate, &token, &Value::Null);
    for created in [&child, &successor] {
        assert_eq!(created.status, 201, "{created:?}");
        assert_eq!(attributes_of(&created.text("id")), attributes);
    }
    let listed = organisation.send("GET", "", &token, &Value::Null);
    let found = organisation.send("GET", &format!("/{id}"), &token, &Value::Null);
    let verified = organisation.send("POST", "/verify", &token, &json!({"key": token}));
    let me = organisation.server.whoami(&token);
    for response in [
        updated, cleared, child, successor, listed, found, verified, me,
    ] {
        assert!(!response.body.contains("attributes"), "{response:?}");
        assert!(!response.body.contains("pro\""), "{response:?}");
    }

    // The operator changes them, and nothing else.
    let before = organisation.state(&id, "default");
    let update = ["update", &id, "--attributes", r#"{"plan":"free"}"#];
    keys(organisation.folder.path(), &update);
    let mut after = organisation.state(&id, "default");
    assert_eq!(after["attributes"], json!({"plan": "free"}));
    after["attributes"] = attributes;
    assert_eq!(after, before);
    keys(
        organisation.folder.path(),
        &["update", &id, "--no-attributes"],
    );
    assert_eq!(attributes_of(&id), Value::Null);
}
