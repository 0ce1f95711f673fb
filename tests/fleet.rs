//! Several servers over one Redis.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::tempdir;

use crate::support::{PATIENCE, Server, operator_key, run};

/// A `redis-server`, which ends with the story.
struct Redis {
    process: Child,
    url: String,
}

impl Redis {
    fn start(folder: &Path, options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(folder)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let address = ("127.0.0.1", port);
        let mut attempts = 0;
        while std::net::TcpStream::connect(address).is_err() {
            attempts += 1;
            assert!(attempts < 1_000, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Self {
            process,
            url: format!("redis://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while servers[1].whoami(&secret).status != 401 {
            assert!(waited < PATIENCE, "the other server goes on accepting it");
            thread::sleep(step);
            waited += step;
        }
    }
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
