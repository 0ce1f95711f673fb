//! `keywright keys …`, with and without a running server.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Server, SetOnDrop, assert_fails, id_of, keys, keys_json, operator_key,
    run, verify, wait_for, wait_for_staleness_bound,
};

/// Removes the last uses, which a server returns before it stores them.
fn without_last_uses(mut response: Value) -> Value {
    if let Some(keys) = response.get_mut("data").and_then(Value::as_array_mut) {
        keys.iter_mut()
            .for_each(|key| *key = without_last_uses(key.take()));
    }
    if let Some(key) = response.as_object_mut() {
        key.remove("last_used_at");
    }
    response
}

#[test]
fn the_command_line_prints_the_same_json_as_the_api() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let token = operator_key(path, &FAST);
    for number in 0..5 {
        let body = format!(r#"{{"name":"Key {number}","metadata":{{"n":{number}}}}}"#);
        assert_eq!(server.create(&token, &body).status, 201);
    }
    let api = |query: &str| {
        let path = format!("/v1/api-keys{query}");
        without_last_uses(server.send("GET", &path, &token, "").json())
    };
    let keys_json = |path, arguments: &[&str]| without_last_uses(keys_json(path, arguments));

    assert_eq!(keys_json(path, &["list"]), api(""));
    let second = keys_json(path, &["list", "--page", "2", "--limit", "2"]);
    assert_eq!(second, api("?page=2&limit=2"));
    assert_eq!(second["meta"]["totalPages"], 3);
    let cursor = second["meta"]["nextCursor"].as_str().unwrap();
    let third = keys_json(path, &["list", "--limit", "2", "--cursor", cursor]);
    assert_eq!(third, api(&format!("?limit=2&cursor={cursor}")));
    assert_eq!(third["data"].as_array().unwrap().len(), 2);
    let found = keys_json(path, &["list", "--search", "kEY 3", "--status", "active"]);
    assert_eq!(found, api("?search=key+3&status=active"));
    assert_eq!(found["meta"]["total"], 1);
    assert_eq!(
        keys_json(path, &["list", "--status", "revoked"])["data"],
        json!([])
    );
    assert_eq!(
        keys_json(path, &["list", "--workspace", "other"])["data"],
        json!([])
    );

    let id = id_of(&token);
    assert_eq!(keys_json(path, &["get", &id]), api(&format!("/{id}")));
    let (code, printed) = verify(path, &token, &["--json"]);
    let body = json!({"key": token}).to_string();
    let response = server.send("POST", "/v1/api-keys/verify", &token, &body);
    assert_eq!(code, 0);
    assert_eq!(
        without_last_uses(serde_json::from_str(&printed).unwrap()),
        without_last_uses(response.json())
    );
}

#[test]
fn no_name_can_misalign_the_table_of_a_list() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let names = [
        "plain",
        "漢字 👩‍👩‍👧",
        "مفتاح",
        "key_0\u{202e}evitca\u{2028}x",
        "a   b",
    ];
    for name in names {
        keys(path, &[&["create", "--name", name], &FAST[..]].concat());
    }
    let table = keys(path, &["list"]);
    assert!(!table.contains('\u{1b}'), "{table}");
    let [header, rows @ ..] = &table.lines().collect::<Vec<_>>()[..] else {
        panic!("{table}")
    };
    assert_eq!(rows.len(), names.len(), "{table}");
    let column = header.find("NAME").unwrap();
    for (row, name) in rows.iter().rev().zip(names) {
        assert!(
            row.starts_with("key_") && row[20..].starts_with("  active  never    never"),
            "{row}"
        );
        let shown = &row[column..];
        if name.contains('\u{202e}') {
            assert_eq!(shown, r"key_0\u{202e}evitca\u{2028}x");
        } else {
            assert_eq!(shown, name);
        }
    }
    let wide = keys(path, &["list", "--wide"]);
    assert_eq!(wide.lines().count(), 1 + names.len(), "{wide}");
    assert!(!wide.contains(['\u{1b}', '\u{202e}']), "{wide}");
    // JSON is also escaped, because it may be printed on a terminal.
    let json = keys(path, &["list", "--json"]);
    assert!(!json.contains(['\u{202e}', '\u{2028}']), "{json}");

    let output = run(path, &["keys", "list", "--limit", "2"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 3);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log, "5 keys in total; next page: --page 2\n");
    let output = run(path, &["keys", "list", "--workspace", "empty"]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("empty"));
}

#[test]
fn get_shows_a_key_and_update_changes_it() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let token = operator_key(path, &FAST);
    let id = id_of(&token);
    let metadata = "{\"team\":\"\u{9b}31m\"}";
    let shown = keys(
        path,
        &["update", &id, "--name", " New ", "--metadata", metadata],
    );
    assert_eq!(shown, keys(path, &["get", &id]));
    for line in ["name         New", "status       active", "permissions  *"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(!shown.contains('\u{9b}'), "{shown}");
    let me = server.whoami(&token).json();
    assert_eq!(me["name"], "New");
    assert_eq!(me["metadata"]["team"], "\u{9b}31m");
    // A field that is not given stays.
    let renamed = keys_json(path, &["update", &id, "--name", "Newer"]);
    assert_eq!(renamed["metadata"], me["metadata"]);
    wait_for_staleness_bound();
    assert_eq!(
        without_last_uses(renamed),
        without_last_uses(server.whoami(&token).json())
    );
    assert_fails(path, &["keys", "update", &id], &["--name", "--any-ip"]);
}

#[test]
fn a_key_that_the_command_line_revokes_is_rejected_by_the_server() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let [parent, other] = [(); 2].map(|()| operator_key(path, &FAST));
    let child = server.create(&parent, r#"{"name":"child"}"#).text("secret");
    let grandchild = server
        .create(&child, r#"{"name":"grandchild"}"#)
        .text("secret");
    for token in [&parent, &child, &grandchild, &other] {
        assert_eq!(server.whoami(token).status, 200);
    }
    assert_eq!(keys(path, &["revoke", &id_of(&parent)]), "revoked 1 key\n");
    wait_for_staleness_bound();
    assert_eq!(server.whoami(&parent).status, 401);
    assert_eq!(server.whoami(&child).status, 200);
    assert_fails(path, &["keys", "revoke", &id_of(&parent)], &["revoked"]);
    let cascade = keys_json(path, &["revoke", &id_of(&parent), "--cascade"]);
    assert_eq!(cascade, json!({"revoked": 2}));
    wait_for_staleness_bound();
    for token in [&parent, &child, &grandchild] {
        assert_eq!(server.whoami(token).status, 401);
        assert_eq!(verify(path, token, &[]), (1, "REVOKED".into()));
    }
    assert_eq!(server.whoami(&other).status, 200);
}

#[test]
fn revoke_all_leaves_no_key_while_keys_are_created() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST_UNLIMITED);
    let workspace = ["--workspace", "leaving"];
    let leaving = operator_key(path, &[&FAST[..], &workspace].concat());
    let staying = operator_key(path, &FAST);
    for number in 0..230 {
        let expired = number % 3 == 0;
        let body = format!(r#"{{"name":"n","expire_now":{expired}}}"#);
        assert_eq!(server.create(&leaving, &body).status, 201);
    }
    let late = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let revoked = thread::scope(|scope| {
        let _stop = SetOnDrop(&done);
        for _ in 0..3 {
            // Each key creates the next, until one is revoked.
            scope.spawn(|| {
                let mut own = leaving.clone();
                while !done.load(Ordering::SeqCst) {
                    let created = server.create(&own, r#"{"name":"late"}"#);
                    if created.status != 201 {
                        break;
                    }
                    own = created.text("secret");
                    late.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait_for("keys are being created", || {
            (late.load(Ordering::SeqCst) >= 3).then_some(())
        });
        run(path, &["keys", "revoke", "--all", "--workspace", "leaving"])
    });
    let created = 231 + late.into_inner();
    if revoked.status.success() {
        let printed = String::from_utf8(revoked.stdout).unwrap();
        assert_eq!(printed, format!("revoked {created} keys\n"));
    } else {
        // On a stalled disk the store may be unavailable halfway.
        let log = String::from_utf8(revoked.stderr).unwrap();
        assert!(log.contains("unavailable"), "{log}");
        keys(path, &["revoke", "--all", "--workspace", "leaving"]);
    }
    for (status, total) in [("active", 0), ("expired", 0), ("revoked", created)] {
        let listed = keys_json(
            path,
            &["list", "--workspace", "leaving", "--status", status],
        );
        assert_eq!(listed["meta"]["total"], total, "{status}");
    }
    assert_eq!(server.whoami(&leaving).status, 401);
    assert_eq!(server.whoami(&staying).status, 200);
    assert_eq!(
        keys(path, &["revoke", "--all", "--workspace", "leaving"]),
        "revoked 0 keys\n"
    );
}

#[test]
fn rotate_prints_only_the_new_token_and_lets_the_old_one_expire() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let rotate = |token: &str, arguments: &[&str]| {
        let id = id_of(token);
        let printed = keys(path, &[&["rotate", &id], arguments, &FAST].concat());
        assert_eq!(printed.lines().count(), 1);
        printed.trim_end().to_owned()
    };
    let first = operator_key(path, &[&FAST[..], &["--expires-in", "90d"]].concat());
    let second = rotate(&first, &[]);
    for token in [&first, &second] {
        assert_eq!(server.whoami(token).status, 200);
    }
    let old = keys_json(path, &["get", &id_of(&first)]);
    let new = keys_json(path, &["get", &id_of(&second)]);
    assert_eq!(old["successor_id"], new["id"]);
    assert!(old["expires_at"].as_str() < new["expires_at"].as_str());

    let arguments = ["--expire-previous", "now", "--expires-in", "2h", "--json"];
    let response: Value = serde_json::from_str(&rotate(&second, &arguments)).unwrap();
    let third = response["secret"].as_str().unwrap();
    wait_for_staleness_bound();
    assert_eq!(server.whoami(&second).status, 401);
    assert_eq!(
        server.whoami(third).json()["expires_at"],
        response["expires_at"]
    );
    assert!(response["expires_at"].as_str() < new["expires_at"].as_str());

    let first = id_of(&first);
    assert_fails(path, &["keys", "rotate", &first], &["already rotated"]);
    let second = id_of(&second);
    assert_fails(path, &["keys", "rotate", &second], &["revoked"]);
    for bad in ["31d", "soon"] {
        let arguments = ["keys", "rotate", &id_of(third), "--expire-previous", bad];
        assert_fails(path, &arguments, &["30d"]);
    }
}

#[test]
fn errors_are_one_line_and_create_no_file() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let id = "key_0U5lKtf600000000";
    for arguments in [
        &["keys", "list"][..],
        &["keys", "get", id],
        &["keys", "update", id, "--name", "n"],
        &["keys", "update", id, "--no-attributes"],
        &["keys", "disable", id],
        &["keys", "enable", id],
        &["keys", "revoke", id],
        &["keys", "revoke", "--all", "--workspace", "default"],
        &["keys", "revoke", "--owner", "o", "--workspace", "default"],
        &["keys", "rotate", id],
        &["keys", "verify"],
        &["purge", "--revoked-before", "2024-01-01"],
        &["keys", "report"],
        &["purge", "--expired-before", "2024-01-01"],
        &["purge", "--events-before", "1d"],
    ] {
        assert_fails(path, arguments, &["keywright.db", "--store"]);
        let memory = [&["--store", "memory:"], arguments].concat();
        assert_fails(path, &memory, &["memory:", "--store"]);
    }
    assert!(!path.join("keywright.db").exists());

    operator_key(path, &FAST);
    for arguments in [
        &["keys", "get", id][..],
        &["keys", "update", id, "--name", "n"],
        &["keys", "update", id, "--attributes", "{}"],
        &["keys", "disable", id],
        &["keys", "enable", id],
        &["keys", "revoke", id],
        &["keys", "rotate", id],
    ] {
        let arguments = [arguments, &["--workspace", "acme"]].concat();
        assert_fails(path, &arguments, &[id, "workspace acme"]);
        assert_eq!(run(path, &arguments).status.code(), Some(1));
    }
    for (arguments, word) in [
        (&["get"][..], "<ID>"),
        (&["get", "key_1"], "key_"),
        (&["revoke"], "<ID>"),
        (&["revoke", "--all"], "--workspace"),
        (&["revoke", id, "--all", "--workspace", "w"], "--all"),
        (
            &["revoke", "--all", "--cascade", "--workspace", "w"],
            "--cascade",
        ),
        (
            &["revoke", "--all", "--owner", "o", "--workspace", "w"],
            "--owner",
        ),
        (
            &["revoke", id, "--owner", "o", "--workspace", "w"],
            "--owner",
        ),
        (&["update", id, "--name", "\u{7}"], "control"),
        (&["update", id, "--metadata", "[]"], "object"),
        (&["update", id, "--attributes", "[]"], "object"),
        (
            &["update", id, "--metadata", "{}", "--no-metadata"],
            "--no-metadata",
        ),
        (
            &["update", id, "--attributes", "{}", "--no-attributes"],
            "--no-attributes",
        ),
        (
            &["update", id, "--any-ip", "--allowed-ips", "::1"],
            "--any-ip",
        ),
        (&["update", id, "--allowed-ips", ""], "192.0.2.7"),
        (&["update", id, "--allowed-ips", "10.0.0.1/8"], "10.0.0.0/8"),
        (&["update", id, "--enable", "--disable"], "--disable"),
        (
            &["update", id, "--never-expires", "--expires-in", "1d"],
            "--never-expires",
        ),
        (
            &[
                "update",
                id,
                "--never-expires",
                "--expires-at",
                "2999-01-01",
            ],
            "--never-expires",
        ),
        (
            &[
                "update",
                id,
                "--expires-in",
                "1d",
                "--expires-at",
                "2999-01-01",
            ],
            "--expires-at",
        ),
        (&["update", id, "--expires-in", "0s"], "--expires-in"),
        (&["update", id, "--expires-at", "tomorrow"], "2026-01-31"),
        (&["update", id, "--owner", "o"], "--owner"),
        (&["disable"], "<ID>"),
        (&["create", "--name", "n", "--owner", "a b"], "--owner"),
        (&["list", "--owner", ""], "--owner"),
        (&["verify", "--client-ip", "localhost"], "--client-ip"),
        (&["verify", "--permission", "A"], "--permission"),
        (&["rotate", id, "--expires-in", "0s"], "--expires-in"),
        (&["list", "--page", "0"], "--page"),
        (&["list", "--limit", "101"], "--limit"),
        (&["list", "--status", "old"], "revoked"),
        (&["list", "--cursor", "x"], "cursor"),
        (&["list", "--cursor", "x", "--page", "2"], "--page"),
        (&["list", "--workspace", "a b"], "--workspace"),
        (&["report", "--workspace", "a b"], "--workspace"),
    ] {
        assert_fails(path, &[&["keys"], arguments].concat(), &[word]);
    }
    for (arguments, word) in [
        (&[][..], "--revoked-before"),
        (&[], "--expired-before"),
        (&[], "--events-before"),
        (&["--expired-before", "yesterday"], "2026-01-31"),
        (&["--revoked-before", "yesterday"], "2026-01-31"),
    ] {
        assert_fails(path, &[&["purge"], arguments].concat(), &[word]);
    }
}

#[test]
fn each_command_has_help() {
    let folder = tempdir().unwrap();
    let all = keys(folder.path(), &["--help"]);
    for command in [
        "create", "list", "get", "update", "disable", "enable", "revoke", "rotate", "verify",
        "report",
    ] {
        assert!(all.contains(&format!("  {command} ")), "{all}");
        let help = keys(folder.path(), &[command, "--help"]);
        let about = help.lines().next().unwrap();
        assert!(all.contains(about), "{about}");
        assert!(
            help.contains("--store") && help.contains("--json"),
            "{help}"
        );
    }
}
