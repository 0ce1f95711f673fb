//! Creating keys, using them, and what they inherit from their parents.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{
    FAST, Server, assert_nowhere_in, id_of, operator_key, wait_for, write_private,
};

#[test]
fn the_documented_request_creates_a_key_that_works() {
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
    // The clock for last uses is coarse, and may be behind the clock for creations.
    let me = wait_for("the last use is after the creation", || {
        let me = server.whoami(&secret);
        assert_eq!(me.status, 200, "{me:?}");
        (me.text("last_used_at") >= created.text("created_at")).then_some(me)
    });
    assert_eq!(
        me.json(),
        json!({
            "id": created.text("id"),
            "name": "Production Server",
            "created_at": created.text("created_at"),
            "last_used_at": me.text("last_used_at"),
            "is_expired": false,
            "status": "active",
            "environment": "live",
            "owner": null,
            "permissions": ["*"],
            "enabled": true,
            "expires_at": null,
            "revoked_at": null,
            "allowed_ips": null,
            "metadata": null,
            "parent_id": server.whoami(&first).text("id"),
            "predecessor_id": null,
            "successor_id": null,
            "rotated_by_id": null,
            "imported": false,
        })
    );
    // The secret is neither in the write-ahead log nor in the checkpointed file.
    assert_nowhere_in(folder.path(), &secret);
    server.stop();
    assert_nowhere_in(folder.path(), &secret);
}

#[test]
fn a_key_never_exceeds_its_parent() {
    let folder = tempdir().unwrap();
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
    let server = Server::start(folder.path(), &FAST);
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
fn an_expired_key_is_rejected_and_so_are_its_children() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &FAST);
    // On a slow machine the key may expire before it has created a child. Then give it more time.
    let mut lifetimes = [3, 12, 48, 100].into_iter();
    wait_for("a key creates a child before it expires", || {
        let lifetime = format!("{}s", lifetimes.next()?);
        let options = [&FAST[..], &["--expires-in", &lifetime]].concat();
        let parent = operator_key(folder.path(), &options);
        let me = server.whoami(&parent);
        let child = server.create(&parent, r#"{"name":"child"}"#);
        let beyond = r#"{"name":"n","expires_at":"2999-01-01T00:00:00Z"}"#;
        let beyond = server.create(&parent, beyond);
        if beyond.status == 401 {
            return None;
        }
        assert_eq!(child.status, 201, "{child:?}");
        assert_eq!(child.text("expires_at"), me.text("expires_at"));
        assert_eq!(child.text("parent_id"), id_of(&parent));
        assert_eq!(beyond.status, 400, "{beyond:?}");

        for token in [parent, child.text("secret")] {
            let rejected = wait_for("the key expires", || {
                Some(server.whoami(&token)).filter(|response| response.status != 200)
            });
            assert_eq!(rejected.status, 401);
            assert_eq!(rejected.text("code"), "invalid_token");
        }
        Some(())
    });
}

#[test]
fn a_key_created_with_expire_now_is_rejected_from_the_start() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &[]);
    let created = server.create(&first, r#"{"name":"n","expire_now":true}"#);
    assert_eq!(created.status, 201);
    assert_eq!(created.text("expires_at"), created.text("created_at"));
    assert_eq!(server.whoami(&created.text("secret")).status, 401);
}

#[test]
fn keys_with_all_hashes_and_peppers_share_a_store() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let peppers = |lines: &[&str]| write_private(&path.join("peppers"), &lines.join("\n"));
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
    // By now the server may have rehashed each key with the newest pepper. The tokens still verify.
    for token in plain.iter().chain(&first).chain(&second) {
        assert_eq!(server.whoami(token).status, 200);
    }
    server.stop();

    // Without its pepper, a token is neither valid nor invalid.
    peppers(&[&one]);
    let server = Server::start(path, &["--pepper-file", "peppers"]);
    assert_eq!(server.whoami(&unused).status, 200);
    for token in &second {
        let response = server.send_once("GET", "/v1/whoami", token, "");
        assert_eq!(
            (response.status, response.header("retry-after")),
            (503, "1")
        );
    }
}
