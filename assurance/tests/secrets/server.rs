//! The program, running as a server.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use keywright_assurance::program::keywright;
use tempfile::TempDir;

use crate::{redis::read_all, response::RawResponse};

/// The maximum number of checks whether the server has started, one every 10 ms.
const START_ATTEMPTS: u32 = 12_000;

/// How long to wait for the server to respond.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A server in a temporary folder, which also contains its log, its temporary files and its
/// database.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    pub(crate) folder: TempDir,
    /// All responses, except for those that must contain a token.
    responses: Mutex<Vec<u8>>,
}

/// Returns a command that runs the program in a folder, without settings from the environment.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(keywright());
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("TMPDIR", folder.join("tmp"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYWRIGHT_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command with all logging enabled, and `input` on its standard input.
pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = program(folder, arguments)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Writing fails if the program exits without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Creates a temporary folder, with a folder `tmp` in it.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    folder
}

impl Server {
    /// Starts a server with all logging enabled, and with `settings` in its environment.
    ///
    /// # Errors
    ///
    /// The log, if the server exits before it listens.
    pub(crate) fn start(
        folder: TempDir,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--first-key", "print"];
        let logging = ["--log-level", "trace", "--rate-limit", "0"];
        let child = program(folder.path(), &[&fixed[..], &logging, arguments].concat())
            .envs(settings.iter().copied())
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            folder,
            responses: Mutex::default(),
        };
        server.address = server.await_address()?;
        Ok(server)
    }

    fn await_address(&mut self) -> Result<SocketAddr, String> {
        for _ in 0..START_ATTEMPTS {
            let log = self.log();
            if let Some((_, rest)) = log.split_once("listening on http://") {
                let address = rest.split(|c: char| c == '"' || c.is_whitespace()).next();
                if let Some(Ok(address)) = address.map(str::parse) {
                    return Ok(address);
                }
            }
            if self.child.try_wait().unwrap().is_some() {
                return Err(log);
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not start listening: {}", self.log());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Returns the first key, which the server has printed on standard output.
    pub(crate) fn first_key(&self) -> String {
        let printed = fs::read_to_string(self.folder.path().join("stdout")).unwrap();
        let key = printed.strip_suffix('\n').unwrap();
        assert!(
            key.starts_with("sk_live_") && !key.contains('\n'),
            "{printed}"
        );
        key.to_owned()
    }

    /// Sends bytes as they are, and keeps the response for the search.
    pub(crate) fn send(&self, request: impl AsRef<[u8]>) -> RawResponse {
        let response = self.send_expecting_token(request);
        self.responses
            .lock()
            .unwrap()
            .extend_from_slice(&response.0);
        response
    }

    /// Sends bytes as they are. Use this if the response must contain a token.
    pub(crate) fn send_expecting_token(&self, request: impl AsRef<[u8]>) -> RawResponse {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        // Writing fails if the server rejects an incomplete request and closes the connection.
        let _ = stream.write_all(request.as_ref());
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        RawResponse(response)
    }

    /// Sends bytes and closes the connection without waiting for a response.
    pub(crate) fn send_and_hang_up(&self, request: impl AsRef<[u8]>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_ref()).unwrap();
    }

    pub(crate) fn responses(&self) -> Vec<u8> {
        self.responses.lock().unwrap().clone()
    }

    /// Reads all files in its folder, except for its standard output.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        read_all(self.folder.path(), &mut files);
        files.retain(|(name, _)| !name.ends_with("/stdout"));
        files
    }

    /// Returns the path of a file in `/proc` about the process.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.id()))
    }

    /// Sends SIGTERM, and waits until the server has stopped.
    pub(crate) fn stop(&mut self) {
        let id = self.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Formats a request with this token that closes the connection.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
