//! `keywright purge`.

use keywright_core::{Clock, SystemClock};
use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{FAST, Server, assert_fails, id_of, keys, operator_key, purge, run, verify};

#[test]
fn purge_deletes_keys_that_were_revoked_long_ago_and_have_no_descendants() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let server = Server::start(path, &FAST);
    let [parent, childless, recent] = [(); 3].map(|()| operator_key(path, &FAST));
    let elsewhere = operator_key(path, &[&FAST[..], &["--workspace", "other"]].concat());
    let child = server.create(&parent, r#"{"name":"child"}"#).text("secret");
    for token in [&parent, &childless, &recent] {
        keys(path, &["revoke", &id_of(token)]);
    }
    keys(path, &["revoke", "--all", "--workspace", "other"]);
    let file = Connection::open(path.join("keywright.db")).unwrap();
    let age = |token: &str, revoked_at: i64| {
        let id = &id_of(token)[4..];
        let sql = "UPDATE keywright_keys SET revoked_at = ?2 WHERE id = CAST(?1 AS BLOB)";
        assert_eq!(file.execute(sql, (id, revoked_at)), Ok(1));
    };
    // 2024-03-01T10:00:00Z in milliseconds.
    for token in [&parent, &childless, &elsewhere] {
        age(token, 1_709_287_200_000);
    }
    let purge = |arguments: &[&str]| purge(path, &[&["--revoked-before"], arguments].concat());
    assert_eq!(purge(&["2024-03-01"]), "purged 0 keys\n");
    assert_eq!(purge(&["9999d"]), "purged 0 keys\n");
    assert_eq!(purge(&["2024-03-01T11:00:00+01:00"]), "purged 0 keys\n");
    let default = ["2024-03-01T10:00:00.001Z", "--workspace", "default"];
    assert_eq!(purge(&default), "purged 1 key\n");
    assert_fails(path, &["keys", "get", &id_of(&childless)], &["no key"]);
    assert_eq!(verify(path, &childless, &[]), (1, "NOT_FOUND".into()));
    assert_eq!(server.whoami(&childless).status, 401);

    // For any date, recently revoked keys and ancestors of active keys stay.
    let output = run(path, &["purge", "--json", "--revoked-before", "9999-01-01"]);
    assert_eq!(output.stdout, b"{\"purged\":1}\n");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("24 hours")
    );
    assert_fails(
        path,
        &["keys", "get", &id_of(&elsewhere), "--workspace", "other"],
        &["other"],
    );
    assert_eq!(verify(path, &recent, &[]), (1, "REVOKED".into()));
    assert_eq!(server.whoami(&child).status, 200);
    assert_eq!(
        keys(path, &["revoke", &id_of(&parent), "--cascade"]),
        "revoked 1 key\n"
    );
    age(&child, 1_709_287_200_000);
    assert_eq!(purge(&["2024-03-02"]), "purged 2 keys\n");
}

#[test]
fn purge_deletes_keys_that_expired_long_ago() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let [long_ago, recent, parent] = [(); 3].map(|()| operator_key(path, &FAST));
    let server = Server::start(path, &FAST);
    let child = server.create(&parent, r#"{"name":"child"}"#).text("secret");
    let file = Connection::open(path.join("keywright.db")).unwrap();
    let expire = |token: &str, expires_at: i64| {
        let id = &id_of(token)[4..];
        let sql = "UPDATE keywright_keys SET expires_at = ?2 WHERE id = CAST(?1 AS BLOB)";
        assert_eq!(file.execute(sql, (id, expires_at)), Ok(1));
    };
    // 2024-03-01T10:00:00Z in milliseconds.
    for token in [&long_ago, &parent] {
        expire(token, 1_709_287_200_000);
    }
    expire(&recent, SystemClock::default().now().as_millis());
    // The date of a revocation selects no key by its expiry.
    assert_eq!(
        purge(path, &["--revoked-before", "2999-01-01"]),
        "purged 0 keys\n"
    );
    assert_eq!(
        purge(path, &["--expired-before", "2024-03-01"]),
        "purged 0 keys\n"
    );
    let output = run(path, &["purge", "--expired-before", "2999-01-01"]);
    assert_eq!(output.stdout, b"purged 1 key\n");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("24 hours")
    );
    assert_eq!(verify(path, &long_ago, &[]), (1, "NOT_FOUND".into()));
    for token in [&recent, &parent] {
        assert_eq!(verify(path, token, &[]), (1, "EXPIRED".into()));
    }
    assert_eq!(verify(path, &child, &[]), (0, "valid".into()));
}
