//! A real `redis-server`.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A `redis-server`, which ends with the story.
pub(crate) struct Redis {
    command: Command,
    process: Child,
    pub(crate) url: String,
}

impl Redis {
    pub(crate) fn start(folder: &Path, options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(folder)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = command.spawn().unwrap();
        let redis = Self {
            command,
            process,
            url: format!("redis://127.0.0.1:{port}"),
        };
        redis.await_start();
        redis
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("redis://").unwrap()
    }

    fn await_start(&self) {
        let mut attempts = 0;
        while TcpStream::connect(self.address()).is_err() {
            attempts += 1;
            assert!(attempts < 1_000, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after that, on the same port and file.
    pub(crate) fn restart(&mut self) {
        self.process = self.command.spawn().unwrap();
        self.await_start();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
