//! A `redis-server` with an append-only file, which runs as long as the benchmark.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

pub(crate) struct Server {
    process: Child,
    _folder: TempDir,
    url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        for _ in 0..5 {
            let mut server = Self::spawn();
            // Another process may take the port before the server does. Then the server exits.
            while server.process.try_wait().unwrap().is_none() {
                let client = redis::Client::open(server.url()).unwrap();
                if client.get_connection().is_ok() {
                    return server;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("redis-server exits after it starts");
    }

    fn spawn() -> Self {
        // On the disk of the target folder. On many machines `/tmp` is in memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            _folder: folder,
            url: format!("redis://127.0.0.1:{port}"),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
