//! An operator manages the keys of people with the command line, while a server runs.

use std::time::Duration;

use keywright_core::Timestamp;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, Server, assert_fails, id_of, keys, keys_json, keywright, operator_key, verify,
    wait_for_staleness_bound,
};

#[test]
fn a_session_of_the_operator_creates_updates_pauses_and_removes_the_keys_of_a_person() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let anna = ["--owner", "user:anna"];
    let laptop = operator_key(
        path,
        &[
            &FAST[..],
            &anna,
            &["--allowed-ips", "127.0.0.0/8,192.0.2.0/24"],
            &["--metadata", r#"{"team":"billing"}"#],
            &["--attributes", "{\"plan\":\n\"pro\"}"],
        ]
        .concat(),
    );
    let id = id_of(&laptop);
    let phone = operator_key(path, &[&FAST[..], &anna].concat());
    let other = operator_key(path, &FAST);

    let shown = keys(path, &["get", &id]);
    for line in [
        "owner        user:anna",
        "status       active",
        "addresses    127.0.0.0/8,192.0.2.0/24",
        r#"metadata     {"team":"billing"}"#,
        r#"attributes   {"plan": "pro"}"#,
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let as_json = keys_json(path, &["get", &id]);
    assert_eq!(as_json["attributes"], json!({"plan": "pro"}));
    assert_eq!(
        as_json["allowed_ips"],
        json!(["127.0.0.0/8", "192.0.2.0/24"])
    );
    let me = server.whoami(&laptop).json();
    assert_eq!(
        (&me["owner"], &me["attributes"]),
        (&json!("user:anna"), &Value::Null)
    );

    // The table of a list, in 80 columns and wide.
    let listed = keys(path, &["list", "--owner", "user:anna"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(
        listed.lines().all(|line| line.chars().count() <= 80),
        "{listed}"
    );
    assert!(!listed.contains(&id_of(&other)), "{listed}");
    let wide = keys(path, &["list", "--wide"]);
    assert_eq!(wide.lines().count(), 4, "{wide}");
    for text in [
        "  127.0.0.0/8,192.0.2.0/24  ",
        r#"  {"plan": "pro"}  "#,
        "  live  ",
    ] {
        assert!(wide.contains(text), "{text}: {wide}");
    }

    // A pause and a resumption.
    assert_eq!(keys_json(path, &["disable", &id])["status"], "disabled");
    wait_for_staleness_bound();
    assert_eq!(server.whoami(&laptop).status, 401);
    assert_eq!(
        verify(path, &laptop, &["--client-ip", "127.0.0.1"]),
        (1, "DISABLED".into())
    );
    let disabled = keys_json(
        path,
        &["list", "--owner", "user:anna", "--status", "disabled"],
    );
    assert_eq!(disabled["meta"]["total"], 1, "{disabled}");
    assert_eq!(disabled["data"][0]["id"], id);
    assert_fails(path, &["keys", "rotate", &id], &["disabled"]);
    assert_eq!(keys_json(path, &["enable", &id])["enabled"], true);
    wait_for_staleness_bound();
    assert_eq!(server.whoami(&laptop).status, 200);

    // Permissions, expiry, addresses and attributes, in one command and one by one.
    let update = |arguments: &[&str]| keys_json(path, &[&["update", &id], arguments].concat());
    let updated = update(&[
        "--permissions",
        "calls:read",
        "--expires-at",
        "2999-01-31",
        "--allowed-ips",
        "192.0.2.7",
        "--no-metadata",
        "--attributes",
        r#"{"plan":"free"}"#,
        "--disable",
    ]);
    for (field, value) in [
        ("permissions", json!(["calls:read"])),
        ("expires_at", json!("2999-01-31T00:00:00.000Z")),
        ("allowed_ips", json!(["192.0.2.7"])),
        ("metadata", Value::Null),
        ("attributes", json!({"plan": "free"})),
        ("enabled", json!(false)),
        ("owner", json!("user:anna")),
    ] {
        assert_eq!(updated[field], value, "{field}");
    }
    assert_eq!(update(&["--enable"])["status"], "active");
    assert!(update(&["--expires-in", "90d"])["expires_at"].as_str() < Some("2999"));
    assert_eq!(update(&["--never-expires"])["expires_at"], Value::Null);
    wait_for_staleness_bound();
    let rejected = server.whoami(&laptop);
    assert_eq!(
        (rejected.status, rejected.text("code")),
        (403, "address_not_allowed".into())
    );
    for (arguments, expected) in [
        (&[][..], (1, "ADDRESS_NOT_ALLOWED")),
        (&["--client-ip", "192.0.2.8"], (1, "ADDRESS_NOT_ALLOWED")),
        (&["--client-ip", "192.0.2.7"], (0, "valid")),
        (
            &[
                "--client-ip",
                "::ffff:192.0.2.7",
                "--permission",
                "calls:read",
            ],
            (0, "valid"),
        ),
        (
            &["--client-ip", "192.0.2.7", "--permission", "calls:write"],
            (1, "INSUFFICIENT_PERMISSION"),
        ),
    ] {
        for workspace in [&[][..], &["--workspace", "default"]] {
            let arguments = [arguments, workspace].concat();
            let expected = (expected.0, expected.1.to_owned());
            assert_eq!(verify(path, &laptop, &arguments), expected, "{arguments:?}");
        }
    }
    assert_eq!(update(&["--any-ip"])["allowed_ips"], Value::Null);
    assert_eq!(update(&["--no-attributes"]).get("attributes"), None);
    wait_for_staleness_bound();
    assert_eq!(
        server.whoami(&laptop).json()["permissions"],
        json!(["calls:read"])
    );

    // The person leaves.
    let leave = ["revoke", "--owner", "user:anna", "--workspace", "default"];
    assert_eq!(keys(path, &leave), "revoked 2 keys\n");
    assert_eq!(keys_json(path, &leave), json!({"revoked": 0}));
    wait_for_staleness_bound();
    for token in [&laptop, &phone] {
        assert_eq!(server.whoami(token).status, 401);
    }
    assert_eq!(server.whoami(&other).status, 200);
    assert_fails(path, &["keys", "update", &id, "--name", "n"], &["revoked"]);
    assert_fails(path, &["keys", "enable", &id], &["revoked"]);
}

#[test]
fn the_maximum_lifetime_bounds_keys_of_the_server_and_of_the_command_line() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let limit = [&FAST[..], &["--max-lifetime", "30d"]].concat();
    let unlimited = operator_key(path, &FAST);
    let server = Server::start(path, &limit);
    let end_of = |key: &Value| key["expires_at"].as_str().map(str::to_owned);

    // A key without an expiry gets the latest one.
    let created = server.create(&unlimited, r#"{"name":"n"}"#).json();
    let token = operator_key(path, &limit);
    let by_operator = keys_json(path, &["get", &id_of(&token)]);
    for key in [&created, &by_operator] {
        let created_at: Timestamp = key["created_at"].as_str().unwrap().parse().unwrap();
        let end = created_at.saturating_add(Duration::from_secs(30 * 86_400));
        assert_eq!(end_of(key), Some(end.to_string()));
    }
    // A later one is rejected.
    let late = r#"{"name":"n","expires_at":"2999-01-01T00:00:00Z"}"#;
    let rejected = server.create(&unlimited, late);
    assert_eq!(rejected.status, 400, "{rejected:?}");
    let create = [
        "keys",
        "create",
        "--name",
        "n",
        "--expires-in",
        "31d",
        "--max-lifetime",
        "30d",
    ];
    assert_fails(path, &create, &["maximum lifetime"]);
    let id = id_of(&unlimited);
    let update = ["keys", "update", &id, "--max-lifetime", "30d"];
    let late = [&update[..], &["--expires-at", "2999-01-01"]].concat();
    assert_fails(path, &late, &["maximum lifetime"]);
    // Existing keys keep their expiry until it is changed.
    assert_eq!(end_of(&server.whoami(&unlimited).json()), None);
    let renamed = keys_json(path, &[&update[1..], &["--name", "n"]].concat());
    assert_eq!(end_of(&renamed), None);
    let bounded = keys_json(path, &[&update[1..], &["--never-expires"]].concat());
    assert!(end_of(&bounded).is_some(), "{bounded}");
    assert_fails(path, &["--max-lifetime", "0s"], &["--max-lifetime", "365d"]);

    let output = keywright(path, &["keys", "create", "--name", "n", "--json"])
        .env("KEYWRIGHT_MAX_LIFETIME", "1d")
        .output()
        .unwrap();
    let created: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(end_of(&created).is_some(), "{created}");
}

#[test]
fn revoke_names_an_owner_only_in_a_named_workspace() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let anna = ["--owner", "user:anna"];
    let here = operator_key(path, &[&FAST[..], &anna].concat());
    let there = operator_key(
        path,
        &[&FAST[..], &anna, &["--workspace", "other"]].concat(),
    );
    assert_fails(
        path,
        &["keys", "revoke", "--owner", "user:anna"],
        &["--workspace"],
    );
    let revoked = keys(
        path,
        &["revoke", "--owner", "user:anna", "--workspace", "other"],
    );
    assert_eq!(revoked, "revoked 1 key\n");
    assert_eq!(verify(path, &here, &[]), (0, "valid".into()));
    assert_eq!(verify(path, &there, &[]), (1, "REVOKED".into()));
}
