//! The whole life of a key, through the program.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Server, operator_key};

#[test]
fn the_rotation_playbook() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let old = operator_key(folder.path(), &fast);
    let server = Server::start(folder.path(), &fast);
    let old_path = format!("/v1/api-keys/{}", server.whoami(&old).text("id"));
    // Use the old key to create the new one, deploy, revoke the old one: the new one lives.
    let new = server.create(&old, r#"{"name":"new"}"#).text("secret");
    assert_eq!(server.whoami(&old).status, 200);
    let revoked = server.send("DELETE", &old_path, &new, "");
    assert_eq!(revoked.json(), json!({"message": "API key revoked."}));
    assert_eq!(server.whoami(&old).status, 401);
    assert_eq!(server.whoami(&new).status, 200);
    assert_eq!(server.send("DELETE", &old_path, &new, "").status, 404);
    assert_eq!(server.create(&old, r#"{"name":"late"}"#).status, 401);
}

#[test]
fn a_key_that_was_revoked_on_one_server_is_refused_by_the_other_at_once() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let admin = operator_key(folder.path(), &fast);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &fast));
    for _ in 0..100 {
        let key = servers[0].create(&admin, r#"{"name":"n"}"#);
        let secret = key.text("secret");
        assert_eq!(servers[1].whoami(&secret).status, 200);
        let path = key.header("location").to_owned();
        assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
        assert_eq!(servers[1].whoami(&secret).status, 401);
    }
}

#[test]
fn a_cascade_lets_nothing_escape_that_is_being_created() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let admin = operator_key(folder.path(), &fast);
    let server = Server::start(folder.path(), &fast);
    for _ in 0..5 {
        let top = server.create(&admin, r#"{"name":"top"}"#);
        let (secret, path) = (top.text("secret"), top.header("location").to_owned());
        let created: Vec<String> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut created = Vec::new();
                        loop {
                            let child = server.create(&secret, r#"{"name":"child"}"#);
                            if child.status != 201 {
                                assert_eq!(child.status, 401);
                                break created;
                            }
                            created.push(child.text("secret"));
                        }
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(30));
            let cascade = server.send("DELETE", &format!("{path}?cascade=true"), &admin, "");
            assert_eq!(cascade.status, 200, "{cascade:?}");
            creators
                .into_iter()
                .flat_map(|creator| creator.join().unwrap())
                .collect()
        });
        for token in created {
            assert_eq!(server.whoami(&token).status, 401);
        }
    }
    assert_eq!(server.whoami(&admin).status, 200);
}
