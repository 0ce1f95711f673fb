//! Several servers over one Redis.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use tempfile::tempdir;

use crate::support::{
    FAST, PATIENCE, Redis, Server, id_of, keys, operator_key, parse, purge, run, wait_for,
};

impl Redis {
    /// Starts a Redis that does not wait for the disk. These stories kill the process, not the
    /// machine, and on a busy disk a Redis that syncs stops for longer than a server waits for it.
    fn start_for_fleet(folder: &Path) -> Self {
        Self::start(folder, &["--appendonly", "yes", "--appendfsync", "no"])
    }

    /// Overwrites a part of a record, as if its key had been revoked in 1970.
    fn revoke_long_ago(&self, token: &str) {
        let id = *parse(token).id().as_bytes();
        let name = [b"kw:r:{", &id[8..11], b"}:", &id].concat();
        let mut request = b"*4\r\n".to_vec();
        for part in [b"SETRANGE", name.as_slice(), b"19", &[0; 8]] {
            request.extend(format!("${}\r\n", part.len()).bytes());
            request.extend(part);
            request.extend(b"\r\n");
        }
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request).unwrap();
        let mut reply_type = [0];
        stream.read_exact(&mut reply_type).unwrap();
        assert_eq!(reply_type, *b":", "Redis did not overwrite the record");
    }
}

#[test]
fn a_key_that_one_server_revokes_is_rejected_by_the_other() {
    let folder = tempdir().unwrap();
    let redis = Redis::start_for_fleet(folder.path());
    let options = [&FAST[..], &["--store", &redis.url]].concat();
    let admin = operator_key(folder.path(), &options);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &options));
    for _ in 0..20 {
        let key = servers[0].create(&admin, r#"{"name":"n"}"#);
        assert_eq!(key.status, 201, "{key:?}");
        let secret = key.text("secret");
        assert_eq!(servers[1].whoami(&secret).status, 200);
        let path = key.header("location").to_owned();
        assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
        assert_eq!(servers[0].whoami(&secret).status, 401, "at once");
        wait_for_rejection(&servers[1], &secret);
    }
}

fn wait_for_rejection(server: &Server, token: &str) {
    wait_for("the server rejects the key", || {
        (server.whoami(token).status == 401).then_some(())
    });
}

#[test]
fn the_command_line_manages_the_keys_of_a_running_fleet() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let redis = Redis::start_for_fleet(path);
    let options = [&FAST[..], &["--store", &redis.url]].concat();
    let keys = |arguments: &[&str]| keys(path, &[arguments, &options].concat());
    let other = operator_key(path, &options);
    let servers = [(); 2].map(|()| Server::start(path, &options));
    let parent = keys(&["create", "--name", "parent"]).trim_end().to_owned();
    let child = servers[0].create(&parent, r#"{"name":"child"}"#);
    let child = child.text("secret");
    for server in &servers {
        assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
        for token in [&other, &parent, &child] {
            assert_eq!(server.whoami(token).status, 200);
        }
    }

    keys(&["revoke", &id_of(&parent)]);
    for server in &servers {
        wait_for_rejection(server, &parent);
        assert_eq!(
            server.whoami(&child).status,
            200,
            "the child is not revoked"
        );
    }
    keys(&["revoke", &id_of(&child)]);
    for server in &servers {
        wait_for_rejection(server, &child);
    }

    // A purge keeps recently revoked keys.
    let purge = || {
        purge(
            path,
            &[&["--revoked-before", "2024-03-01"][..], &options].concat(),
        )
    };
    assert_eq!(purge(), "purged 0 keys\n");
    redis.revoke_long_ago(&parent);
    assert_eq!(purge(), "purged 0 keys\n", "its child is kept");
    redis.revoke_long_ago(&child);
    assert_eq!(purge(), "purged 2 keys\n");
    let listed = keys(&["list"]);
    assert!(listed.contains(&id_of(&other)), "{listed}");
    for token in [&parent, &child] {
        assert!(!listed.contains(&id_of(token)), "{listed}");
        for server in &servers {
            assert_eq!(server.whoami(token).status, 401);
        }
    }
    for server in &servers {
        assert_eq!(server.whoami(&other).status, 200);
        let metrics = server.send("GET", "/metrics", "", "");
        assert_eq!(metrics.status, 200);
        let accepted = r#"keywright_verifications_total{outcome="accepted"}"#;
        assert!(metrics.body.contains(accepted), "{}", metrics.body);
        for token in [&parent, &child, &other] {
            assert!(!metrics.body.contains(&id_of(token)), "{}", metrics.body);
        }
    }
}

#[test]
fn a_server_is_not_ready_without_its_redis_and_recovers_when_it_is_back() {
    let folder = tempdir().unwrap();
    let mut redis = Redis::start_for_fleet(folder.path());
    let url = redis.url.clone();
    let options = [&FAST[..], &["--store", &url]].concat();
    let admin = operator_key(folder.path(), &options);
    let server = Server::start(folder.path(), &options);
    assert_eq!(server.whoami(&admin).status, 200);
    redis.kill();
    // Never 401: an outage says nothing about a key.
    let status = wait_for("the server no longer accepts the key", || {
        let response = server.send_once("GET", "/v1/whoami", &admin, "");
        Some(response.status).filter(|status| *status != 200)
    });
    assert_eq!(status, 503);
    assert_eq!(server.send_once("GET", "/readyz", "", "").status, 503);
    redis.restart();
    assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
    assert_eq!(server.whoami(&admin).status, 200);
}

#[test]
fn a_redis_without_persistence_is_rejected_with_the_setting_to_change() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "no"]);
    let arguments = ["--store", &redis.url, "keys", "create", "--name", "n"];
    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("set appendonly to yes"), "{log}");
    assert!(output.stdout.is_empty());
}
