//! Several servers over one Redis.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use tempfile::tempdir;

use crate::{
    redis::Redis,
    support::{PATIENCE, Server, at_last, operator_key, parse, run},
};

impl Redis {
    /// Writes over a part of a record, as if its key had been revoked in 1970.
    fn revoke_long_ago(&self, token: &str) {
        let id = *parse(token).id().as_bytes();
        let name = [b"kw:r:{", &id[8..11], b"}:", &id].concat();
        let mut request = b"*4\r\n".to_vec();
        for part in [b"SETRANGE", name.as_slice(), b"18", &[0; 8]] {
            request.extend(format!("${}\r\n", part.len()).bytes());
            request.extend(part);
            request.extend(b"\r\n");
        }
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request).unwrap();
        let mut kind = [0];
        stream.read_exact(&mut kind).unwrap();
        assert_eq!(kind, *b":", "the server has not written it");
    }
}

#[test]
fn a_key_that_one_server_revokes_is_refused_by_the_other() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    let options = ["--hash", "hmac-sha256", "--store", &redis.url];
    let admin = operator_key(folder.path(), &options);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &options));
    for _ in 0..20 {
        let key = servers[0].create(&admin, r#"{"name":"n"}"#);
        assert_eq!(key.status, 201, "{key:?}");
        let secret = key.text("secret");
        assert_eq!(servers[1].whoami(&secret).status, 200);
        let path = key.header("location").to_owned();
        assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
        assert_eq!(servers[0].whoami(&secret).status, 401, "here at once");
        await_refusal(&servers[1], &secret);
    }
}

fn await_refusal(server: &Server, token: &str) {
    at_last("the server refuses it", || {
        (server.whoami(token).status == 401).then_some(())
    });
}

/// What a command of the operator prints, which must do what it was asked for.
#[track_caller]
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_line_works_beside_the_servers_of_a_fleet() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let redis = Redis::start(path, &["--appendonly", "yes"]);
    let options = ["--hash", "hmac-sha256", "--store", &redis.url];
    let keys = |arguments: &[&str]| printed(path, &[&options[..], &["keys"], arguments].concat());
    let staying = operator_key(path, &options);
    let servers = [(); 2].map(|()| Server::start(path, &options));
    let parent = keys(&["create", "--name", "parent"]).trim_end().to_owned();
    let child = servers[0].create(&parent, r#"{"name":"child"}"#);
    let child = child.text("secret");
    for server in &servers {
        assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
        for token in [&staying, &parent, &child] {
            assert_eq!(server.whoami(token).status, 200);
        }
    }

    let id = |token: &str| parse(token).id().to_string();
    keys(&["revoke", &id(&parent)]);
    for server in &servers {
        await_refusal(server, &parent);
        assert_eq!(server.whoami(&child).status, 200, "the child is its own");
    }
    keys(&["revoke", &id(&child)]);
    for server in &servers {
        await_refusal(server, &child);
    }

    // What was just revoked stays.
    let purge = ["purge", "--revoked-before", "2024-03-01"];
    assert_eq!(keys(&purge), "purged 0 keys\n");
    redis.revoke_long_ago(&parent);
    assert_eq!(keys(&purge), "purged 0 keys\n", "its child is kept");
    redis.revoke_long_ago(&child);
    assert_eq!(keys(&purge), "purged 2 keys\n");
    let listed = keys(&["list"]);
    assert!(listed.contains(&id(&staying)), "{listed}");
    for token in [&parent, &child] {
        assert!(!listed.contains(&id(token)), "{listed}");
        for server in &servers {
            assert_eq!(server.whoami(token).status, 401);
        }
    }
    for server in &servers {
        assert_eq!(server.whoami(&staying).status, 200);
        let metrics = server.send("GET", "/metrics", "", "");
        assert_eq!(metrics.status, 200);
        let accepted = r#"keywright_verifications_total{outcome="accepted"}"#;
        assert!(metrics.body.contains(accepted), "{}", metrics.body);
        for token in [&parent, &child, &staying] {
            assert!(!metrics.body.contains(&id(token)), "{}", metrics.body);
        }
    }
}

#[test]
fn a_fleet_without_its_redis_is_not_ready_and_is_again() {
    let folder = tempdir().unwrap();
    let mut redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    let options = ["--hash", "hmac-sha256", "--store", &redis.url.clone()];
    let admin = operator_key(folder.path(), &options);
    let server = Server::start(folder.path(), &options);
    assert_eq!(server.whoami(&admin).status, 200);
    redis.kill();
    // Never 401: an outage says nothing of a key.
    let status = at_last("it ceases to accept the key", || {
        Some(server.whoami(&admin).status).filter(|status| *status != 200)
    });
    assert_eq!(status, 503);
    assert_eq!(server.send("GET", "/readyz", "", "").status, 503);
    redis.restart();
    at_last("it is ready again", || {
        (server.send("GET", "/readyz", "", "").status == 200).then_some(())
    });
    assert_eq!(server.whoami(&admin).status, 200);
}

#[test]
fn a_redis_that_forgets_is_refused_with_the_setting_to_change() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "no"]);
    let arguments = ["--store", &redis.url, "keys", "create", "--name", "n"];
    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("set appendonly to yes"), "{told}");
    assert!(output.stdout.is_empty());
}
