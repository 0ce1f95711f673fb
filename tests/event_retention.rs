//! How long events are kept.

use std::thread;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Server, assert_fails, events, id_of, keys, keys_json, keywright,
    operator_key, purge, under_load, wait_for,
};

/// More events than any test makes.
const ALL: [&str; 2] = ["--limit", "100000"];

#[test]
fn a_server_deletes_old_events_in_steps_while_requests_go_on() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let admin = operator_key(path, &FAST);
    let before = Server::start(path, &FAST_UNLIMITED);
    // More events than a step deletes, also in another workspace.
    operator_key(path, &[&FAST[..], &["--workspace", "other"]].concat());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..80 {
                    assert_eq!(before.create(&admin, r#"{"name":"n"}"#).status, 201);
                }
            });
        }
    });
    before.stop();
    assert_eq!(events(path, &ALL).len(), 641);
    // The default keeps them.
    Server::start(path, &FAST).stop();
    assert_eq!(events(path, &ALL).len(), 641);

    let old = events(path, &["--limit", "1"]);
    let is_old = |event: &Value| event["id"].as_str() <= old[0]["id"].as_str();
    let keep = [&FAST_UNLIMITED[..], &["--keep-events", "1s"]].concat();
    let server = Server::start(path, &keep);
    under_load(&[&server], &admin, || {
        wait_for("old events are deleted", || {
            let here = events(path, &ALL);
            let other = events(path, &["--workspace", "other"]);
            (!here.iter().any(is_old) && other.is_empty()).then_some(())
        });
    });
    // The keys are not deleted.
    let listed = keys_json(path, &["list", "--limit", "1"]);
    assert!(listed["meta"]["total"].as_u64() > Some(641), "{listed}");
    let id = id_of(&admin);
    keys(path, &["update", &id, "--name", "after"]);
    assert_eq!(events(path, &["--limit", "1"])[0]["key_id"], id);
}

#[test]
fn a_retention_of_0_writes_no_event_and_deletes_none() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let admin = operator_key(path, &FAST);
    let kept = events(path, &[]);
    assert_eq!(kept.len(), 1);
    let none = [&FAST[..], &["--keep-events", "0"]].concat();
    let server = Server::start(path, &none);
    let created = server.create(&admin, r#"{"name":"n"}"#);
    assert_eq!(created.status, 201);
    let listed = server.send("GET", "/v1/api-keys/events", &admin, "");
    assert_eq!(
        (listed.status, listed.text("code")),
        (404, "no_event_log".into())
    );
    // A command has the same option, and the same variable.
    keys(
        path,
        &["disable", &created.text("id"), "--keep-events", "0"],
    );
    let revoke = ["keys", "revoke", &created.text("id")];
    let mut revoke = keywright(path, &revoke);
    let revoked = revoke.env("KEYWRIGHT_KEEP_EVENTS", "0").output();
    assert!(revoked.unwrap().status.success());
    // The command line still shows the events from before.
    assert_eq!(events(path, &["--keep-events", "0"]), kept);
    // The log has the changes, in any case.
    let (_, _, log) = server.stop();
    assert_eq!(log.matches("API key created").count(), 1, "{log}");
    for bad in ["1x", "400", "never"] {
        assert_fails(path, &["--keep-events", bad], &["--keep-events"]);
    }
}

#[test]
fn purge_deletes_events_before_a_date_or_an_age() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let [one, _, _] = [(); 3].map(|()| operator_key(path, &FAST));
    operator_key(path, &[&FAST[..], &["--workspace", "other"]].concat());
    let all = events(path, &[]);
    let purge_events =
        |arguments: &[&str]| purge(path, &[&["--events-before"], arguments].concat());
    assert_eq!(purge_events(&["1d"]), "purged 0 events\n");
    assert_eq!(purge_events(&["2024-03-01"]), "purged 0 events\n");
    // A time is exclusive.
    let second = all[1]["created_at"].as_str().unwrap();
    let earlier = all
        .iter()
        .filter(|event| event["created_at"].as_str() < Some(second));
    let earlier = earlier.count() as u64;
    let workspace = ["--workspace", "default", "--json"];
    let printed = purge_events(&[&[second], &workspace[..]].concat());
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json, json!({"purged_events": earlier}));
    let left = 3 - earlier;
    assert_eq!(
        purge_events(&[
            "2999-01-01",
            "--revoked-before",
            "1d",
            "--workspace",
            "default"
        ]),
        match left {
            1 => "purged 0 keys and 1 event\n".to_owned(),
            left => format!("purged 0 keys and {left} events\n"),
        }
    );
    assert_eq!(events(path, &["--workspace", "other"]).len(), 1);
    assert_eq!(purge_events(&["2999-01-01"]), "purged 1 event\n");
    assert_eq!(keys_json(path, &["get", &id_of(&one)])["status"], "active");
    assert_fails(
        path,
        &["purge", "--events-before", "old"],
        &["2026-01-31", "90d"],
    );
}
