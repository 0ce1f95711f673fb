//! The program, as a server.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use keywright_assurance::program::keywright;
use tempfile::TempDir;

use crate::{answer::Answer, redis::read_all};

/// How often something that takes a while is looked for, every 10 ms.
const PATIENCE: u32 = 3000;

/// A server in a folder of its own, where its log, its temporary files and its database are, too.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    pub(crate) folder: TempDir,
    /// All that was answered, but for what has a token in it by right.
    answers: Mutex<Vec<u8>>,
}

/// The program in a folder, without the environment's settings for it.
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

/// A folder with one for temporary files in it.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    folder
}

impl Server {
    /// Starts a server at its most talkative; `settings` are given in its environment.
    pub(crate) fn start(folder: TempDir, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--first-key", "print"];
        let talkative = ["--log-level", "trace", "--rate-limit", "0"];
        let child = program(folder.path(), &[&fixed[..], &talkative, arguments].concat())
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
            answers: Mutex::default(),
        };
        server.address = server.await_address();
        server
    }

    fn await_address(&mut self) -> SocketAddr {
        for _ in 0..PATIENCE {
            let log = self.log();
            if let Some((_, rest)) = log.split_once("listening on http://") {
                let address = rest.split(|c: char| c == '"' || c.is_whitespace()).next();
                if let Some(Ok(address)) = address.map(str::parse) {
                    return address;
                }
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server has ended: {log}");
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not listen: {}", self.log());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The key that it has printed, alone on standard output.
    pub(crate) fn first_key(&self) -> String {
        let printed = fs::read_to_string(self.folder.path().join("stdout")).unwrap();
        let key = printed.strip_suffix('\n').unwrap();
        assert!(
            key.starts_with("sk_live_") && !key.contains('\n'),
            "{printed}"
        );
        key.to_owned()
    }

    /// Sends bytes as they are; what comes back is kept to be read.
    pub(crate) fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let answer = self.send_unread(request);
        self.answers.lock().unwrap().extend_from_slice(&answer.0);
        answer
    }

    /// The same where the answer holds a token by right.
    pub(crate) fn send_unread(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // A server that refuses a request before its end closes the connection under the writer.
        let _ = stream.write_all(request.as_ref());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer(answer)
    }

    /// Sends bytes and closes the connection without waiting for an answer.
    pub(crate) fn send_and_hang_up(&self, request: impl AsRef<[u8]>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_ref()).unwrap();
    }

    pub(crate) fn answers(&self) -> Vec<u8> {
        self.answers.lock().unwrap().clone()
    }

    /// All files in its folder, but for its standard output.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        read_all(self.folder.path(), &mut files);
        files.retain(|(name, _)| !name.ends_with("/stdout"));
        files
    }

    /// A file of `/proc` about it.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.id()))
    }

    /// Asks it to stop, and waits.
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

/// A request that asks for the connection to be closed, with this token.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
