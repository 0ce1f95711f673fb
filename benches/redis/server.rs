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
        let server = Self {
            process,
            _folder: folder,
            url: format!("redis://127.0.0.1:{port}"),
        };
        while redis::Client::open(server.url())
            .unwrap()
            .get_connection()
            .is_err()
        {
            thread::sleep(Duration::from_millis(10));
        }
        server
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
