//! A real `redis-server`.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::wait::wait_for;

/// A `redis-server`, killed when dropped.
pub(crate) struct Redis {
    command: Command,
    process: Child,
    pub(crate) url: String,
}

impl Redis {
    /// Starts a `redis-server` on a free port, and waits until it listens.
    pub(crate) fn start(folder: &Path, options: &[&str]) -> Self {
        wait_for("redis-server gets a free port", || {
            // Redis cannot choose a port by itself, and another process may take the port that was
            // free here.
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
            let process = command.spawn().unwrap_or_else(|error| {
                panic!("redis-server (also the name of the Debian package): {error}")
            });
            let mut redis = Self {
                command,
                process,
                url: format!("redis://127.0.0.1:{port}"),
            };
            redis.wait_until_listening().then_some(redis)
        })
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("redis://").unwrap()
    }

    /// Waits until the server listens. Returns `false` if it has exited.
    fn wait_until_listening(&mut self) -> bool {
        wait_for("redis-server listens", || {
            if self.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(self.address()).is_ok().then_some(true)
        })
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stalls the server: it keeps its connections, but does not reply.
    pub(crate) fn stall(&self) {
        self.signal("STOP");
    }

    /// Ends a stall.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Starts a killed server again, on the same port and file.
    pub(crate) fn restart(&mut self) {
        wait_for("redis-server starts again", || {
            self.process = self.command.spawn().unwrap();
            self.wait_until_listening().then_some(())
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
