//! Every change leaves one event, whichever endpoint or command makes it.

use std::thread;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Redis, Server, assert_fails, events, id_of, keys, keys_json,
    operator_key, purge, request, run, verify,
};

const BASE: &str = "/v1/api-keys";

/// The address of the client, according to a proxy.
const CLIENT: &str = "203.0.113.9";

/// A server behind a proxy, and a count of its requests.
struct Behind {
    server: Server,
    requests: usize,
}

impl Behind {
    /// Sends a request through the proxy, and returns its id, its status and its response.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &str,
        body: &Value,
    ) -> (String, u16, Value) {
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        let headers = format!("x-forwarded-for: {CLIENT}\r\nx-request-id: {id}\r\n{headers}");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = format!("{BASE}{path}");
        let response = self
            .server
            .raw(request(method, &path, token, &headers, &body));
        (id, response.status, response.json())
    }
}

#[test]
fn each_endpoint_that_changes_a_key_leaves_one_event_and_others_leave_none() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    for store in ["sqlite:keywright.db", &redis.url] {
        each_endpoint_leaves_its_event(folder.path(), store);
    }
}

fn each_endpoint_leaves_its_event(path: &std::path::Path, store: &str) {
    let store = ["--store", store];
    let trusting = [&FAST_UNLIMITED[..], &["--trust-proxy", "127.0.0.1"], &store].concat();
    let admin = operator_key(path, &[&FAST[..], &store].concat());
    let server = Server::start(path, &trusting);
    let mut behind = Behind {
        server,
        requests: 0,
    };
    let null = Value::Null;
    let mut expected = vec![json!({
        "type": "api_key.created",
        "key_id": id_of(&admin),
        "actor": {"type": "operator"},
        "changes": {"name": [null, "from the operator"], "permissions": [null, ["*"]]},
    })];
    let mut expect = |request: &str, actor: &str, key: &str, rest: Value| {
        let mut event = json!({
            "key_id": key,
            "actor": {"type": "key", "id": id_of(actor)},
            "request_id": request,
            "client_ip": CLIENT,
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        expected.push(event);
    };

    // Create, and repeat the request.
    let once = "idempotency-key: one\r\n";
    let new = json!({"name": "CI", "permissions": ["calls:*", "api_keys.self:rotate"]});
    let (id, status, created) = behind.send("POST", "", &admin, once, &new);
    assert_eq!(status, 201);
    let permissions = json!(["api_keys.self:rotate", "calls:*"]);
    let key = created["id"].as_str().unwrap();
    let secret = created["secret"].as_str().unwrap();
    let changes = json!({"name": [null, "CI"], "permissions": [null, permissions]});
    expect(
        &id,
        &admin,
        key,
        json!({"type": "api_key.created", "changes": changes}),
    );
    assert_eq!(behind.send("POST", "", &admin, once, &new).1, 200);

    // Update, and repeat the request, which then changes nothing.
    let update = json!({"name": "CI 2", "enabled": true, "metadata": {"team": "billing"}});
    let path_of_key = format!("/{key}");
    let (id, status, _) = behind.send("PATCH", &path_of_key, &admin, "", &update);
    assert_eq!(status, 200);
    let changes = json!({"name": ["CI", "CI 2"], "metadata": "changed"});
    expect(
        &id,
        &admin,
        key,
        json!({"type": "api_key.updated", "changes": changes}),
    );
    assert_eq!(
        behind.send("PATCH", &path_of_key, &admin, "", &update).1,
        200
    );

    // The key rotates itself, and the rotation of a rotated key fails.
    let now = json!({"expire_previous": "24h"});
    let (id, status, rotated) = behind.send("POST", "/self/rotate", secret, "", &now);
    assert_eq!(status, 201);
    let successor = rotated["id"].as_str().unwrap();
    let retired = behind.send("GET", &path_of_key, &admin, "", &null).2;
    let changes = json!({"expires_at": [null, retired["expires_at"]]});
    let rest = json!({"type": "api_key.rotated", "successor_id": successor, "changes": changes});
    expect(&id, secret, key, rest);
    assert_eq!(behind.send("POST", "/self/rotate", secret, "", &now).1, 409);

    // The successor revokes itself, and another key is revoked with its descendants.
    let next = rotated["secret"].as_str().unwrap();
    let (id, status, _) = behind.send("DELETE", "/self", next, "", &null);
    assert_eq!(status, 200);
    let alone = json!({"type": "api_key.revoked", "cascade": false, "count": 1});
    expect(&id, next, successor, alone);
    let parent = json!({"name": "parent"});
    let (id, _, parent) = behind.send("POST", "", &admin, "", &parent);
    let [parent, parent_secret] = ["id", "secret"].map(|member| parent[member].as_str().unwrap());
    let all = json!({"name": [null, "parent"], "permissions": [null, ["*"]]});
    expect(
        &id,
        &admin,
        parent,
        json!({"type": "api_key.created", "changes": all}),
    );
    let child = json!({"name": "child", "permissions": []});
    let (id, _, child) = behind.send("POST", "", parent_secret, "", &child);
    let child = child["id"].as_str().unwrap();
    let changes = json!({"name": [null, "child"], "permissions": [null, []]});
    expect(
        &id,
        parent_secret,
        child,
        json!({"type": "api_key.created", "changes": changes}),
    );
    let cascade = format!("/{parent}?cascade=true");
    let (id, status, revoked) = behind.send("DELETE", &cascade, &admin, "", &null);
    assert_eq!((status, &revoked["revoked"]), (200, &json!(2)));
    let both = json!({"type": "api_key.revoked", "cascade": true, "count": 2});
    expect(&id, &admin, parent, both);

    // None of these changes a key.
    for (method, path, status) in [
        ("DELETE", cascade.as_str(), 404),
        ("DELETE", &format!("/{child}"), 404),
        ("PATCH", &format!("/{child}"), 400),
        ("POST", "/verify", 400),
        ("GET", "", 200),
        ("GET", "/self", 200),
        ("GET", "/events", 200),
        ("GET", "/report", 200),
    ] {
        let (_, found, _) = behind.send(method, path, &admin, "", &null);
        assert_eq!(found, status, "{method} {path}");
    }
    let denied = json!({"name": "n"});
    assert_eq!(behind.send("POST", "", "sk_live_x", "", &denied).1, 401);

    let listed = events(path, &store);
    assert_eq!(listed.len(), expected.len(), "{listed:#?}");
    for (event, mut expected) in listed.iter().zip(expected) {
        expected["id"] = event["id"].clone();
        expected["created_at"] = event["created_at"].clone();
        expected["workspace"] = json!("default");
        expected["environment"] = json!("live");
        assert_eq!(*event, expected);
    }
    // The API returns the same events.
    let (_, _, page) = behind.send("GET", "/events?limit=100", &admin, "", &null);
    let newest_first: Vec<_> = listed.iter().rev().cloned().collect();
    assert_eq!(page["data"], json!(newest_first));
    let of_key = format!("/events?key_id={key}&limit=1");
    let (_, _, page) = behind.send("GET", &of_key, &admin, "", &null);
    assert_eq!(page["data"], json!([listed[3]]));
    let found = events(path, &[&store[..], &["--key", key]].concat());
    assert_eq!(found, &listed[1..4]);
}

#[test]
fn each_command_that_changes_a_key_leaves_an_event_of_the_operator_and_others_leave_none() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let owner = ["--owner", "user:anna", "--expires-in", "90d"];
    let token = operator_key(path, &[&FAST[..], &owner].concat());
    let id = id_of(&token);
    keys(
        path,
        &[
            "update",
            &id,
            "--name",
            "n",
            "--attributes",
            r#"{"plan":"pro"}"#,
        ],
    );
    keys(path, &["update", &id, "--name", "n"]);
    keys(path, &["disable", &id]);
    keys(path, &["enable", &id]);
    let rotate = ["rotate", &id, "--expire-previous", "now"];
    let successor = keys(path, &[&rotate[..], &FAST].concat());
    let successor = id_of(successor.trim_end());
    let reach = ["--owner", "user:anna", "--workspace", "default"];
    assert_eq!(
        keys(path, &[&["revoke"], &reach[..]].concat()),
        "revoked 1 key\n"
    );
    let other = operator_key(path, &FAST);
    keys(path, &["revoke", &id_of(&other), "--cascade"]);
    // None of these changes a key.
    assert!(!run(path, &["keys", "revoke", &id]).status.success());
    assert_eq!(
        keys(path, &[&["revoke"], &reach[..]].concat()),
        "revoked 0 keys\n"
    );
    for unchanging in [&["list"][..], &["get", &id], &["report"]] {
        keys(path, unchanging);
    }
    purge(path, &["--revoked-before", "1d", "--events-before", "1d"]);
    assert_eq!(verify(path, &token, &[]), (1, "REVOKED".into()));

    let listed = events(path, &[]);
    let changes: Vec<_> = listed
        .iter()
        .map(|event| {
            assert_eq!(event["actor"], json!({"type": "operator"}), "{event}");
            assert_eq!(event.get("request_id"), None, "{event}");
            assert_eq!(event.get("client_ip"), None, "{event}");
            (event["type"].as_str().unwrap(), event["key_id"].clone())
        })
        .collect();
    let id = json!(id);
    let other = json!(id_of(&other));
    assert_eq!(
        changes,
        [
            ("api_key.created", id.clone()),
            // The settings, then the attributes.
            ("api_key.updated", id.clone()),
            ("api_key.updated", id.clone()),
            ("api_key.updated", id.clone()),
            ("api_key.updated", id.clone()),
            ("api_key.rotated", id),
            ("api_key.revoked", json!(successor)),
            ("api_key.created", other.clone()),
            ("api_key.revoked", other),
        ]
    );
    assert_eq!(
        listed[1]["changes"],
        json!({"name": ["from the operator", "n"]})
    );
    assert_eq!(listed[2]["changes"], json!({"attributes": "changed"}));
    assert_eq!(listed[3]["changes"], json!({"enabled": [true, false]}));
    assert_eq!(listed[8]["count"], 1);
    assert_eq!(events(path, &["--owner", "user:anna"]), &listed[..7]);
    assert_eq!(events(path, &["--workspace", "other"]), Vec::<Value>::new());
}

#[test]
fn the_table_of_events_has_a_line_for_each_event_up_to_the_limit() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let name = "a\u{202e}b\", enabled true → false";
    for _ in 0..2 {
        keys(path, &[&["create", "--name", name], &FAST[..]].concat());
    }
    let token = operator_key(path, &FAST);
    let id = id_of(&token);
    let server = Server::start(path, &FAST_UNLIMITED);
    // More events than a page has.
    for number in 0..120 {
        let body = format!(r#"{{"name":"n{number}"}}"#);
        let updated = server.send("PATCH", &format!("{BASE}/{id}"), &token, &body);
        assert_eq!(updated.status, 200);
    }
    let print = |arguments: &[&str]| {
        let output = run(path, &[&["events"], arguments].concat());
        assert!(output.status.success());
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [table, note] = print(&["--limit", "500"]);
    assert_eq!(note, "");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 1 + 123, "{table}");
    assert!(!table.contains('\u{202e}'), "{table}");
    let details = lines[0].find("DETAILS").unwrap();
    assert!(
        lines[1].contains(&id) && lines[1].contains("  updated  "),
        "{table}"
    );
    assert_eq!(&lines[1][details..], "name \"n118\" → \"n119\"");
    assert_eq!(
        &lines[123][details..],
        r#"name "a\u{202e}b\", enabled true → false", permissions ["*"]"#
    );
    for (arguments, lines) in [(&[][..], 100), (&["--limit", "101"], 101)] {
        let [table, note] = print(arguments);
        assert_eq!(table.lines().count(), 1 + lines);
        assert!(note.contains("--limit"), "{note}");
    }
    let [table, note] = print(&["--workspace", "empty"]);
    assert!(
        table.is_empty() && note.contains("workspace empty"),
        "{note}"
    );
    for (arguments, word) in [
        (&["--limit", "0"][..], "--limit"),
        (&["--key", "key_1"], "--key"),
        (&["--owner", "a b"], "--owner"),
        (&["--follow", "--limit", "1"], "--limit"),
    ] {
        assert_fails(path, &[&["events"], arguments].concat(), &[word]);
    }
    let nowhere = tempdir().unwrap();
    assert_fails(nowhere.path(), &["events"], &["keywright.db", "--store"]);
    assert_fails(path, &["--store", "memory:", "events"], &["memory:"]);
    let help = String::from_utf8(run(path, &["events", "--help"]).stdout).unwrap();
    assert!(help.contains("keywright events --follow"), "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 110),
        "{help}"
    );
}

#[test]
fn events_of_other_workspaces_and_owners_do_not_exist_for_a_caller() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let create = |arguments: &[&str]| operator_key(path, &[&FAST[..], arguments].concat());
    let own = ["--permissions", "api_keys.own:*"];
    let anna = create(&[&own[..], &["--owner", "anna"]].concat());
    let ben = create(&[&own[..], &["--owner", "ben"]].concat());
    let other = create(&["--workspace", "other", "--owner", "anna"]);
    let test = create(&["--environment", "test"]);
    let admin = create(&[]);
    let server = Server::start(path, &FAST);
    let found = |token: &str, query: &str| {
        let path = format!("{BASE}/events?limit=100{query}");
        let page = server.send("GET", &path, token, "");
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        let events = page["data"].as_array().unwrap();
        let ids = events
            .iter()
            .map(|event| event["key_id"].as_str().unwrap().to_owned());
        ids.rev().collect::<Vec<_>>()
    };
    let ids = [&anna, &ben, &other, &test, &admin].map(|token| id_of(token));
    let [a, b, o, t, root] = ids.each_ref().map(String::as_str);
    assert_eq!(found(&anna, ""), [a]);
    assert_eq!(found(&other, ""), [o]);
    assert_eq!(found(&test, ""), [t]);
    assert_eq!(found(&admin, ""), [a, b, t, root]);
    let none: [String; 0] = [];
    for (caller, query) in [
        (&anna, format!("&key_id={b}")),
        (&anna, "&owner=ben".into()),
        (&anna, format!("&key_id={o}")),
        (&other, format!("&key_id={a}")),
        (&test, format!("&key_id={root}")),
        (&admin, format!("&key_id={o}")),
    ] {
        assert_eq!(found(caller, &query), none, "{query}");
    }
}

#[test]
fn two_servers_on_one_file_leave_one_event_for_each_change() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let admin = operator_key(path, &FAST);
    let servers = [(); 2].map(|()| Server::start(path, &FAST_UNLIMITED));
    // Both servers receive the same requests at the same time.
    let race = |method: &str, path: &str, headers: &str, body: &str| {
        let request = request(method, &format!("{BASE}{path}"), &admin, headers, body);
        thread::scope(|scope| {
            let racing = servers.each_ref().map(|server| {
                let request = &request;
                scope.spawn(move || crate::support::until_available(|| server.raw(request)).status)
            });
            racing.map(|racer| racer.join().unwrap())
        })
    };
    for number in 0..8 {
        let once = format!("idempotency-key: {number}\r\n");
        let mut created = race("POST", "", &once, r#"{"name":"n"}"#);
        created.sort_unstable();
        assert_eq!(created, [200, 201]);
        let newest = servers[0].send("GET", &format!("{BASE}?limit=1"), &admin, "");
        let id = newest.json()["data"][0]["id"].as_str().unwrap().to_owned();
        race("PATCH", &format!("/{id}"), "", r#"{"enabled":false}"#);
        race("PATCH", &format!("/{id}"), "", r#"{"enabled":true}"#);
        race("POST", &format!("/{id}/rotate"), "", "");
        race("DELETE", &format!("/{id}?cascade=true"), "", "");
        let listed = events(path, &["--key", &id]);
        let changes: Vec<_> = listed
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(
            changes,
            [
                "api_key.created",
                "api_key.updated",
                "api_key.updated",
                "api_key.rotated",
                "api_key.revoked",
            ],
            "{listed:#?}"
        );
        assert_eq!(listed[4]["count"], 2);
    }
}

#[test]
fn the_log_has_one_line_for_each_change_with_its_actor_and_request() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let options = ["--first-key", "print", "--log-format", "json"];
    let server = Server::start(path, &[&FAST[..], &options].concat());
    let created = keys_json(path, &["list"]);
    let first = created["data"][0]["id"].clone();
    let admin = operator_key(path, &FAST);
    let send = |id: &str, method: &str, path: &str, body: &str| {
        let headers = format!("x-request-id: {id}\r\n");
        let path = format!("{BASE}{path}");
        let response = server.raw(request(method, &path, &admin, &headers, body));
        assert!([200, 201].contains(&response.status), "{response:?}");
        response.json()["id"].as_str().map(str::to_owned)
    };
    let key = send("one", "POST", "", r#"{"name":"n"}"#).unwrap();
    send("two", "PATCH", &format!("/{key}"), r#"{"name":"m"}"#);
    let successor = send("three", "POST", &format!("/{key}/rotate"), "").unwrap();
    send("four", "DELETE", &format!("/{key}?cascade=true"), "");
    let (_, _, log) = server.stop();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes: Vec<_> = lines
        .filter(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("API key "))
        })
        .collect();
    let id = id_of(&admin);
    let expected = [
        (
            "API key created",
            first.as_str().unwrap(),
            "system",
            Value::Null,
        ),
        ("API key created", &key, &id, json!("one")),
        ("API key updated", &key, &id, json!("two")),
        ("API key rotated", &key, &id, json!("three")),
        ("API key revoked", &key, &id, json!("four")),
    ];
    assert_eq!(changes.len(), expected.len(), "{log}");
    for (line, (message, key, actor, request)) in changes.iter().zip(expected) {
        assert_eq!(
            (
                &line["message"],
                &line["key"],
                &line["actor"],
                &line["request_id"]
            ),
            (&json!(message), &json!(key), &json!(actor), &request)
        );
        assert_eq!(
            (&line["level"], &line["workspace"]),
            (&json!("INFO"), &json!("default"))
        );
    }
    assert_eq!(changes[3]["successor"], json!(successor));
    assert_eq!(changes[4]["count"], 2);
}
