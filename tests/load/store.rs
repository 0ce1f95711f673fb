//! Where the server under load keeps its keys.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A store, and the folder that the program runs in.
pub(crate) struct Store {
    pub(crate) url: String,
    /// How long after a revocation by another process the key may still be accepted.
    pub(crate) bound: Duration,
    folder: TempDir,
    redis: Option<Child>,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        Self {
            url: "sqlite:keys.db".into(),
            bound: Duration::from_millis(100),
            folder: tempfile::tempdir().unwrap(),
            redis: None,
        }
    }

    /// A `redis-server` of its own. It syncs each second: what is measured is not the disk.
    pub(crate) fn redis() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Another one may take the port before the server does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|free| free.local_addr())
                .unwrap()
                .port();
            let mut child = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "yes"])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-server must be installed (Debian: redis-server)");
            if listens(&mut child, port) {
                return Self {
                    url: format!("redis://127.0.0.1:{port}"),
                    bound: Duration::from_secs(1),
                    folder,
                    redis: Some(child),
                };
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Waits until it does; `false` if it has ended.
fn listens(child: &mut Child, port: u16) -> bool {
    for _ in 0..1000 {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    panic!("redis-server does not listen");
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(redis) = &mut self.redis {
            let _ = redis.kill();
            let _ = redis.wait();
        }
    }
}
