//! Create a key, use it, and what it has from its parent.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Server, assert_nowhere_in, operator_key};

#[test]
fn the_documented_call_gets_its_201_and_the_key_works() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    // Argon2id, the default, over a real file.
    let server = Server::start(folder.path(), &[]);
    let created = server.create(
        &first,
        r#"{"name": "Production Server", "expire_now": false}"#,
    );
    assert_eq!(created.status, 201, "{created:?}");
    for member in ["id", "name", "secret", "created_at"] {
        assert!(!created.text(member).is_empty(), "{created:?}");
    }
    assert_eq!(
        created.header("location"),
        format!("/v1/api-keys/{}", created.text("id"))
    );

    let secret = created.text("secret");
    let me = server.whoami(&secret);
    assert_eq!(me.status, 200, "{me:?}");
    assert!(me.text("last_used_at") >= created.text("created_at"));
    assert_eq!(
        me.json(),
        json!({
            "id": created.text("id"),
            "name": "Production Server",
            "created_at": created.text("created_at"),
            "last_used_at": me.text("last_used_at"),
            "is_expired": false,
            "environment": "live",
            "permissions": ["*"],
            "expires_at": null,
            "revoked_at": null,
            "metadata": null,
            "parent_id": server.whoami(&first).text("id"),
            "successor_id": null,
        })
    );
    // Before and after the file is checkpointed.
    assert_nowhere_in(folder.path(), &secret);
    server.stop();
    assert_nowhere_in(folder.path(), &secret);
}

#[test]
fn each_generation_can_do_what_its_parent_can_or_less() {
    let folder = tempdir().unwrap();
    let arguments = ["--hash", "hmac-sha256"];
    let grandmother = operator_key(
        folder.path(),
        &[
            "--hash",
            "hmac-sha256",
            "--workspace",
            "acme",
            "--permissions",
            "api_keys:write,calls:*",
        ],
    );
    let server = Server::start(folder.path(), &arguments);
    let mother = server.create(&grandmother, r#"{"name":"mother"}"#);
    assert_eq!(
        mother.json()["permissions"],
        json!(["api_keys:write", "calls:*"])
    );
    let narrowed =
        r#"{"name":"daughter","permissions":["calls:read","api_keys:write"],"environment":"test"}"#;
    let daughter = server.create(&mother.text("secret"), narrowed);
    assert_eq!(daughter.status, 201, "{daughter:?}");
    assert_eq!(daughter.text("parent_id"), mother.text("id"));
    assert_eq!(daughter.text("environment"), "test");

    let secret = daughter.text("secret");
    let granddaughter = server.create(&secret, r#"{"name":"granddaughter"}"#);
    assert_eq!(
        granddaughter.json()["permissions"],
        json!(["api_keys:write", "calls:read"])
    );
    assert_eq!(granddaughter.text("environment"), "test");
    for beyond in [
        r#"{"name":"n","permissions":["calls:*"]}"#,
        r#"{"name":"n","permissions":["*"]}"#,
        r#"{"name":"n","environment":"live"}"#,
    ] {
        assert_eq!(server.create(&secret, beyond).status, 403, "{beyond}");
    }
}

#[test]
fn a_key_that_expires_is_refused_from_then_on_and_its_children_with_it() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let parent = operator_key(
        folder.path(),
        &["--hash", "hmac-sha256", "--expires-in", "3s"],
    );
    let server = Server::start(folder.path(), &fast);
    let child = server.create(&parent, r#"{"name":"child"}"#);
    assert_eq!(child.status, 201);
    let end = server.whoami(&parent).text("expires_at");
    assert_eq!(child.text("expires_at"), end);
    let beyond = r#"{"name":"n","expires_at":"2999-01-01T00:00:00Z"}"#;
    assert_eq!(server.create(&parent, beyond).status, 400);

    while server.whoami(&child.text("secret")).status == 200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for token in [parent, child.text("secret")] {
        let refused = server.whoami(&token);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.text("code"), "invalid_token");
    }
}

#[test]
fn expire_now_makes_a_key_that_never_opens_anything() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &[]);
    let created = server.create(&first, r#"{"name":"n","expire_now":true}"#);
    assert_eq!(created.status, 201);
    assert_eq!(created.text("expires_at"), created.text("created_at"));
    assert_eq!(server.whoami(&created.text("secret")).status, 401);
}

#[test]
fn keys_of_all_hashes_and_peppers_live_side_by_side() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let peppers = |lines: &[&str]| std::fs::write(path.join("peppers"), lines.join("\n")).unwrap();
    let one = format!("p1 {}", "11".repeat(32));
    let two = format!("p2 {}", "22".repeat(64));
    peppers(&[&one]);
    let plain = [&[][..], &["--hash", "hmac-sha256"]].map(|hash| operator_key(path, hash));
    let first = ["argon2id", "hmac-sha256"]
        .map(|hash| operator_key(path, &["--hash", hash, "--pepper-file", "peppers"]));
    peppers(&[&one, &two]);
    let second = ["argon2id", "hmac-sha256"]
        .map(|hash| operator_key(path, &["--hash", hash, "--pepper-file", "peppers"]));
    peppers(&[&one]);
    let unused = operator_key(path, &["--pepper-file", "peppers"]);
    peppers(&[&one, &two]);
    let server = Server::start(path, &["--pepper-file", "peppers"]);
    for token in plain.iter().chain(&first).chain(&second) {
        assert_eq!(server.whoami(token).status, 200);
    }
    // Each was hashed anew with the newest pepper, and opens the same.
    for token in plain.iter().chain(&first).chain(&second) {
        assert_eq!(server.whoami(token).status, 200);
    }
    server.stop();

    // A pepper that is missing is no reason to deny: it cannot be decided.
    peppers(&[&one]);
    let server = Server::start(path, &["--pepper-file", "peppers"]);
    assert_eq!(server.whoami(&unused).status, 200);
    for token in &second {
        let answer = server.whoami(token);
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    }
}
