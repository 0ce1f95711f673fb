//! Who else may have the file open, as the store URL says.

use tempfile::tempdir;

use crate::{
    command_line::assert_fails,
    support::{Server, operator_key, parse, run},
};

const FAST: [&str; 2] = ["--hash", "hmac-sha256"];

#[test]
fn a_strict_server_refuses_at_once_what_another_process_has_revoked() {
    let folder = tempdir().unwrap();
    let store = ["--store", "sqlite:keywright.db?sharing=strict"];
    let server = Server::start(folder.path(), &[&FAST[..], &store].concat());
    for _ in 0..20 {
        let token = operator_key(folder.path(), &FAST);
        assert_eq!(server.whoami(&token).status, 200);
        let id = parse(&token).id().to_string();
        let revoked = run(folder.path(), &["keys", "revoke", &id]);
        assert!(revoked.status.success(), "{revoked:?}");
        assert_eq!(server.whoami(&token).status, 401);
    }
}

#[test]
fn an_exclusive_server_lets_nobody_else_open_the_file() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let store = "sqlite:keywright.db?sharing=exclusive";
    let server = Server::start(path, &["--store", store]);
    assert_eq!(server.whoami(&token).status, 200);
    let create = ["keys", "create", "--name", "n"];
    assert_fails(path, &create, &["keywright.db", "in use"]);
    let id = parse(&token).id().to_string();
    let revoked = server.send("DELETE", &format!("/v1/api-keys/{id}"), &token, "");
    assert_eq!(revoked.status, 200);
    assert_eq!(server.whoami(&token).status, 401);
    server.stop();
    assert!(run(path, &create).status.success());
}

#[test]
fn a_mistake_in_the_store_url_names_the_choices() {
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
