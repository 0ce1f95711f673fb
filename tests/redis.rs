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
        // Another one may take the port before the server does.
        for _ in 0..5 {
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
            let process = command
                .spawn()
                .unwrap_or_else(|error| panic!("redis-server (Debian's name, too): {error}"));
            let mut redis = Self {
                command,
                process,
                url: format!("redis://127.0.0.1:{port}"),
            };
            if redis.listens() {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("redis://").unwrap()
    }

    /// Waits until it does; `false` if it has ended.
    fn listens(&mut self) -> bool {
        for _ in 0..1_000 {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address()).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not listen");
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after that, on the same port and file.
    pub(crate) fn restart(&mut self) {
        self.process = self.command.spawn().unwrap();
        assert!(self.listens(), "redis-server does not start");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
