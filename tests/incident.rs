//! An incident that is reconstructed from the event log alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Server, events, keys, purge, request, wait_for_staleness_bound,
};

const BASE: &str = "/v1/api-keys";
const OFFICE: &str = "203.0.113.9";
const THIEF: &str = "198.51.100.66";

/// Sends a request from an address, through a proxy, and returns its response.
fn send(server: &Server, from: &str, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let headers = format!("x-forwarded-for: {from}\r\n");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let path = format!("{BASE}{path}");
    let response = server.raw(request(method, &path, token, &headers, &body));
    assert!([200, 201].contains(&response.status), "{response:?}");
    response.json()
}

/// The findings from events alone: a sentence for each event, and the keys whose secrets someone
/// else may know.
struct Investigation {
    sentences: Vec<String>,
    exposed: Vec<String>,
}

/// Reads events from the oldest to the newest. `leaked` is the key that was found on the internet.
fn investigate(events: &[Value], leaked: &str) -> Investigation {
    let text = |event: &Value, pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut names = BTreeMap::new();
    let mut sentences = Vec::new();
    let mut exposed = vec![leaked.to_owned()];
    for event in events {
        let id = text(event, "/key_id");
        if let Some(name) = event.pointer("/changes/name/1").and_then(Value::as_str) {
            names.insert(id.clone(), name.to_owned());
        }
        if let Some(successor) = event["successor_id"].as_str() {
            let name = format!("the successor of {}", names[&id]);
            names.insert(successor.to_owned(), name);
        }
        let actor = text(event, "/actor/id");
        let who = match text(event, "/actor/type").as_str() {
            "key" => names[&actor].clone(),
            other => format!("the {other}"),
        };
        let whence = match text(event, "/client_ip") {
            none if none.is_empty() => String::new(),
            address => format!(" from {address}"),
        };
        let key = &names[&id];
        let change = match text(event, "/type").as_str() {
            "api_key.created" => format!("created {key}"),
            "api_key.rotated" => format!("rotated {key}"),
            "api_key.revoked" if event["cascade"] == true => {
                format!("revoked {key} and its descendants, {} keys", event["count"])
            }
            "api_key.revoked" => format!("revoked {key}"),
            other => panic!("{other}"),
        };
        sentences.push(format!("{who} {change}{whence}"));
        // The actor of a creation or a rotation receives the new secret.
        if exposed.contains(&actor) {
            match text(event, "/type").as_str() {
                "api_key.created" => exposed.push(id),
                "api_key.rotated" => exposed.push(text(event, "/successor_id")),
                _ => {}
            }
        }
    }
    Investigation { sentences, exposed }
}

#[test]
fn the_log_alone_shows_what_a_leaked_key_did_and_that_its_revocation_reached_everything() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let admin = keys(path, &[&["create", "--name", "admin"], &FAST[..]].concat());
    let admin = admin.trim_end();
    let proxy = ["--trust-proxy", "127.0.0.1"];
    let server = Server::start(path, &[&FAST_UNLIMITED[..], &proxy].concat());
    let create = |from: &str, token: &str, name: &str| {
        send(&server, from, "POST", "", token, &json!({"name": name}))
    };
    let secret = |key: &Value| key["secret"].as_str().unwrap().to_owned();
    let id = |key: &Value| key["id"].as_str().unwrap().to_owned();

    // Before the leak.
    let deploy = create(OFFICE, admin, "deploy");
    let backup = create(OFFICE, admin, "backup");
    let monitor = create(OFFICE, admin, "monitor");
    // Someone finds the token of `deploy`, creates two keys with it, and takes over a third. One of
    // the new keys creates another.
    let first = create(THIEF, &secret(&deploy), "first");
    let second = create(THIEF, &secret(&deploy), "second");
    let rotate = format!("/{}/rotate", id(&backup));
    let taken = send(
        &server,
        THIEF,
        "POST",
        &rotate,
        &secret(&deploy),
        &Value::Null,
    );
    let hidden = create(THIEF, &secret(&second), "hidden");
    // The leak is noticed.
    let revoke = format!("/{}?cascade=true", id(&deploy));
    send(&server, OFFICE, "DELETE", &revoke, admin, &Value::Null);

    let log = events(path, &[]);
    let Investigation { sentences, exposed } = investigate(&log, &id(&deploy));
    // `--nocapture` shows the story.
    for (event, sentence) in log.iter().zip(&sentences) {
        println!("{} {sentence}", event["created_at"].as_str().unwrap());
    }
    assert_eq!(
        sentences,
        [
            "the operator created admin",
            "admin created deploy from 203.0.113.9",
            "admin created backup from 203.0.113.9",
            "admin created monitor from 203.0.113.9",
            "deploy created first from 198.51.100.66",
            "deploy created second from 198.51.100.66",
            "deploy rotated backup from 198.51.100.66",
            "second created hidden from 198.51.100.66",
            "admin revoked deploy and its descendants, 5 keys from 203.0.113.9",
        ]
    );
    // The keys that the log names as exposed are the keys of the thief, and none of them works.
    let stolen = [&deploy, &first, &second, &taken, &hidden];
    assert_eq!(exposed, stolen.map(id));
    wait_for_staleness_bound();
    for key in stolen {
        assert_eq!(server.whoami(&secret(key)).status, 401, "{key}");
    }
    for key in [&backup, &monitor] {
        assert_eq!(server.whoami(&secret(key)).status, 200, "{key}");
    }
    // The log outlives the records.
    keys(path, &["revoke", "--all", "--workspace", "default"]);
    let file = rusqlite::Connection::open(path.join("keywright.db")).unwrap();
    file.execute("UPDATE keywright_keys SET revoked_at = 0", ())
        .unwrap();
    purge(path, &["--revoked-before", "1d"]);
    assert_eq!(keys(path, &["list", "--json"]).matches("key_").count(), 0);
    let after = investigate(&events(path, &[])[..sentences.len()], &id(&deploy));
    assert_eq!((after.sentences, after.exposed), (sentences, exposed));
}
