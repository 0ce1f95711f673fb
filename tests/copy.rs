//! Copies between real stores, while servers use them.

use std::{path::Path, process::Output};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{
    FAST, Postgres, Redis, Server, assert_fails, events, id_of, keys, keys_json, operator_key, run,
    verify, wait_for,
};

/// Runs `keywright copy`, which must succeed, and returns the lines of its JSON.
#[track_caller]
fn copy(folder: &Path, from: &str, to: &str, options: &[&str]) -> Vec<Value> {
    let output = try_copy(folder, from, to, options);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{from} to {to}: {log}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn try_copy(folder: &Path, from: &str, to: &str, options: &[&str]) -> Output {
    let stores = ["copy", "--json", "--from", from, "--to", to];
    run(folder, &[&stores[..], options].concat())
}

fn migrated() -> Postgres {
    let postgres = Postgres::new();
    let folder = tempdir().unwrap();
    let output = run(folder.path(), &["migrate", "--store", &postgres.url]);
    assert!(output.status.success(), "{output:?}");
    postgres
}

fn redis(folder: &Path) -> Redis {
    Redis::start(folder, &["--appendonly", "yes", "--appendfsync", "no"])
}

/// Whether the server accepts the token. One that cannot decide does not accept it.
fn is_accepted(server: &Server, token: &str) -> bool {
    server.send_once("GET", "/v1/whoami", token, "").status == 200
}

/// The guide's order of steps, with servers of both stores. The clients of the source create,
/// rotate and revoke keys between and during the runs.
#[test]
fn while_a_copy_runs_and_after_it_the_target_accepts_no_key_that_the_source_has_revoked() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let postgres = migrated();
    let (from, to) = ("sqlite:keywright.db", postgres.url.as_str());
    let source_options = [&FAST[..], &["--store", from]].concat();
    let target_options = [&FAST[..], &["--store", to, "--first-key", "none"]].concat();
    let admin = operator_key(path, &source_options);
    let source = Server::start(path, &source_options);
    // A server that is started before the copy, over the empty target.
    let early = Server::start(path, &target_options);

    let create = || {
        let key = source.create(&admin, r#"{"name":"n","permissions":["calls:read"]}"#);
        assert_eq!(key.status, 201, "{key:?}");
        key
    };
    let revoke = |path: &str| {
        let revoked = source.send("DELETE", path, &admin, "");
        assert_eq!(revoked.status, 200, "{revoked:?}");
    };
    let mut revoked: Vec<String> = Vec::new();
    let mut active: Vec<String> = Vec::new();
    for round in 0..4 {
        // One key is revoked before the run, and one after it was copied.
        let [first, second] = [create(), create()];
        revoke(first.header("location"));
        revoked.push(first.text("secret"));
        let rotated = create();
        let rotation = format!("{}/rotate", rotated.header("location"));
        let successor = source.send("POST", &rotation, &admin, "{}");
        assert_eq!(successor.status, 201, "{successor:?}");
        active.push(rotated.text("secret"));
        active.push(successor.text("secret"));
        let options: &[&str] = if round == 3 { &["--finish"] } else { &[] };
        if round == 3 {
            // The last changes before the end.
            revoke(second.header("location"));
        }
        let report = copy(path, from, to, options);
        let summary = report.last().unwrap();
        assert_eq!(summary["finished"], round == 3);
        if round == 3 {
            // Before the seal, a last use may be written between the copy and the comparison.
            assert_eq!(summary["differing"], 0, "{summary}");
        }
        if round < 3 {
            for token in revoked.iter().chain(&active).chain([&admin]) {
                assert!(!is_accepted(&early, token), "the copy has not finished");
            }
            let opened = run(path, &[&["keys", "list"], &target_options[..4]].concat());
            let log = String::from_utf8(opened.stderr).unwrap();
            assert!(log.contains("has not finished"), "{log}");
            revoke(second.header("location"));
        }
        revoked.push(second.text("secret"));
    }

    // The servers of the target accept what the source accepts, and nothing else.
    let after = Server::start(path, &target_options);
    for target in [&early, &after] {
        for token in &revoked {
            assert_eq!(source.whoami(token).status, 401);
            assert_eq!(target.whoami(token).status, 401);
        }
        for token in active.iter().chain([&admin]) {
            wait_for("the target accepts the key", || {
                (target.whoami(token).status == 200).then_some(())
            });
            assert_eq!(source.whoami(token).status, 200);
        }
    }
    // The source rejects every change, and says why.
    let body = r#"{"name":"n"}"#;
    wait_for("the source rejects the change", || {
        let rejected = source.send_once("POST", "/v1/api-keys", &admin, body);
        assert_eq!(rejected.status, 503, "{rejected:?}");
        (rejected.text("code") == "moved").then_some(())
    });
    let created = after.create(&admin, r#"{"name":"n"}"#);
    assert_eq!(created.status, 201, "{created:?}");
    // The source cannot be opened again, and the copy is over.
    let list = [&["keys", "list"], &source_options[..]].concat();
    assert_fails(path, &list, &["the keys have moved to another store"]);
    let again = try_copy(path, from, to, &[]);
    assert_eq!(again.status.code(), Some(1));
    let aborted = try_copy(path, from, to, &["--abort"]);
    assert_eq!(aborted.status.code(), Some(1));
}

/// Creates keys with lineage, owners, an update, a use and a revocation.
fn fill(folder: &Path, store: &str) -> Vec<String> {
    let options = [&FAST[..], &["--store", store]].concat();
    let keys = |arguments: &[&str]| keys(folder, &[arguments, &options].concat());
    let parent = operator_key(folder, &options);
    let plain = operator_key(folder, &options);
    let revoked = operator_key(folder, &options);
    let other = keys(&[
        "create",
        "--name",
        "n",
        "--workspace",
        "other",
        "--owner",
        "user:1",
    ]);
    let server = Server::start(folder, &options);
    let child = server.create(&parent, r#"{"name":"child","metadata":{"a":1}}"#);
    assert_eq!(child.status, 201, "{child:?}");
    assert_eq!(server.whoami(&plain).status, 200);
    server.stop();
    keys(&["revoke", &id_of(&revoked)]);
    keys(&["rotate", &id_of(&plain)]);
    keys(&["update", &id_of(&parent), "--name", "renamed"]);
    vec![parent, child.text("secret"), other.trim_end().to_owned()]
}

/// The keys and the events of both workspaces.
fn content(folder: &Path, store: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for workspace in ["default", "other"] {
        let options = ["--store", store, "--workspace", workspace];
        all.push(keys_json(folder, &[&["list"], &options[..]].concat()));
        all.extend(events(folder, &options));
    }
    all
}

#[track_caller]
fn assert_copied(folder: &Path, from: &str, to: &str, options: &[&str], tokens: &[String]) {
    let before = content(folder, from);
    copy(folder, from, to, &[]);
    let report = copy(folder, from, to, &[&["--finish"], options].concat());
    assert_eq!(report.last().unwrap()["workspaces"], 2, "{report:?}");
    assert!(
        report[..2]
            .iter()
            .all(|workspace| workspace["equal"] == true)
    );
    assert_eq!(content(folder, to), before);
    for token in tokens {
        let options = [&FAST[..], &["--store", to]].concat();
        assert_eq!(verify(folder, token, &options).0, 0);
    }
}

#[test]
fn all_keys_and_events_survive_a_tour_through_every_kind_of_store() {
    let folder = tempdir().unwrap();
    let redis_folder = tempdir().unwrap();
    let path = folder.path();
    let [first, last] = [migrated(), migrated()];
    let redis = redis(redis_folder.path());
    let tokens = fill(path, "sqlite:first.db");
    assert_copied(path, "sqlite:first.db", &first.url, &[], &tokens);
    assert_copied(path, &first.url, "sqlite:second.db", &[], &tokens);
    assert_copied(path, "sqlite:second.db", &redis.url, &[], &tokens);
    // Redis cannot reject the changes of servers, so the operator stops them.
    let unsealable = try_copy(path, &redis.url, &last.url, &["--finish"]);
    assert_eq!(unsealable.status.code(), Some(1));
    assert_copied(path, &redis.url, &last.url, &["--source-stopped"], &tokens);
    let list = ["keys", "list", "--store", &redis.url];
    assert_fails(path, &list, &["the keys have moved to another store"]);
    // The lineage survives: a revocation of the parent reaches the child.
    let options = [&FAST[..], &["--store", &last.url]].concat();
    let revoke = ["revoke", &id_of(&tokens[0]), "--cascade"];
    keys(path, &[&revoke[..], &options].concat());
    assert_eq!(verify(path, &tokens[1], &options).0, 1);
}

#[test]
fn a_copy_that_cannot_be_made_says_why_and_shows_no_password() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let options = [&FAST[..], &["--store", "sqlite:a.db"]].concat();
    operator_key(path, &options);
    let other = [&FAST[..], &["--store", "sqlite:b.db"]].concat();
    operator_key(path, &other);
    let fails = |from: &str, to: &str, words: &[&str]| {
        assert_fails(path, &["copy", "--from", from, "--to", to], words);
    };
    fails("sqlite:a.db", "sqlite:b.db", &["already in use"]);
    fails("sqlite:a.db", "sqlite:a.db", &["same store"]);
    fails("sqlite:missing.db", "sqlite:c.db", &["does not exist"]);
    fails("sqlite:a.db", "memory:", &["would lose the copy"]);
    let secret = "postgres://user:pass-word@127.0.0.1:1/none";
    let output = try_copy(path, "sqlite:a.db", secret, &[]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!log.contains("pass-word"), "{log}");
    let unmigrated = Postgres::new();
    fails("sqlite:a.db", &unmigrated.url, &["keywright migrate"]);
}

#[test]
fn a_damaged_record_stops_the_copy_and_is_named_and_the_source_stays_usable() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let postgres = migrated();
    let options = [&FAST[..], &["--store", &postgres.url]].concat();
    let token = operator_key(path, &options);
    let id = id_of(&token);
    let bare = id.strip_prefix("key_").unwrap();
    let damage = |name: &str| {
        postgres.execute(&format!(
            "UPDATE keywright.keys SET permissions = '{name}' WHERE id = '{bare}'"
        ));
    };
    damage("no, permissions");
    let copy_it = [
        "copy",
        "--from",
        &postgres.url,
        "--to",
        "sqlite:c.db",
        "--finish",
    ];
    assert_fails(path, &copy_it, &[&id, "cannot be read"]);
    damage("*");
    operator_key(path, &options);
    copy(path, &postgres.url, "sqlite:c.db", &["--finish"]);
}
