//! Sharing a file with other processes, as the store URL configures it.

use tempfile::tempdir;

use crate::support::{FAST, Server, assert_fails, id_of, keys, operator_key, run};

#[test]
fn a_strict_server_rejects_at_once_a_key_that_another_process_has_revoked() {
    let folder = tempdir().unwrap();
    let store = ["--store", "sqlite:keywright.db?sharing=strict"];
    let server = Server::start(folder.path(), &[&FAST[..], &store].concat());
    for _ in 0..20 {
        let token = operator_key(folder.path(), &FAST);
        assert_eq!(server.whoami(&token).status, 200);
        keys(folder.path(), &["revoke", &id_of(&token)]);
        assert_eq!(server.whoami(&token).status, 401);
    }
}

#[test]
fn an_exclusive_server_lets_no_other_process_open_the_file() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let store = "sqlite:keywright.db?sharing=exclusive";
    let server = Server::start(path, &["--store", store]);
    assert_eq!(server.whoami(&token).status, 200);
    let create = ["keys", "create", "--name", "n"];
    assert_fails(path, &create, &["keywright.db", "in use"]);
    let path_of_key = format!("/v1/api-keys/{}", id_of(&token));
    let revoked = server.send("DELETE", &path_of_key, &token, "");
    assert_eq!(revoked.status, 200);
    assert_eq!(server.whoami(&token).status, 401);
    server.stop();
    assert!(run(path, &create).status.success());
}

#[test]
fn an_invalid_store_url_is_rejected_with_the_valid_forms() {
    let folder = tempdir().unwrap();
    for url in [
        "sqlite:keys.db?mode=ro",
        "sqlite:keys.db?",
        "sqlite:?sharing=strict",
    ] {
        let arguments = ["keys", "create", "--name", "n", "--store", url];
        assert_fails(folder.path(), &arguments, &["sqlite:PATH"]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
