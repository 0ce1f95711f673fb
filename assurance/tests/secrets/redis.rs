//! A `redis-server` with a password, in a temporary folder.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::fixture::PASSWORD;

/// The maximum number of checks whether the server has started, one every 10 ms.
const START_ATTEMPTS: u32 = 12_000;

/// How long to wait for the server to reply.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Returns a port that no process is listening on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        // Another process may take the port before the server does. Then the server exits.
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let port = free_port();
            let mut command = Command::new("redis-server");
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args([
                    "--save",
                    "",
                    "--appendonly",
                    "yes",
                    // Syncs do not affect the contents of the file, and a busy disk delays them.
                    "--appendfsync",
                    "no",
                ])
                .args([
                    "--requirepass",
                    PASSWORD,
                    "--logfile",
                    "redis.log",
                    "--loglevel",
                    "debug",
                ])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let process = command.spawn();
            let process = process.expect("redis-server must be installed (Debian: redis-server)");
            let mut server = Self {
                process,
                folder,
                port,
            };
            for _ in 0..START_ATTEMPTS {
                if server.process.try_wait().unwrap().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return server;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("redis-server did not start");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "AUTH {PASSWORD}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(line(&mut reader), "+OK");
        reader
    }

    /// Runs a command whose arguments contain no spaces, and returns the first line of the reply.
    fn run(&self, command: &str) -> String {
        let mut reader = self.connect();
        write!(reader.get_mut(), "{command}\r\n").unwrap();
        line(&mut reader)
    }

    /// Replaces each record with a text.
    pub(crate) fn damage(&self, text: &str) {
        let mut reader = self.connect();
        write!(reader.get_mut(), "KEYS *\r\n").unwrap();
        let count: usize = line(&mut reader)[1..].parse().unwrap();
        let mut names = Vec::new();
        for _ in 0..count {
            line(&mut reader);
            names.push(line(&mut reader));
        }
        let mut damaged = 0;
        for name in names {
            if self.run(&format!("TYPE {name}")) == "+string" && name.contains('{') {
                damaged += usize::from(self.run(&format!("SET {name} {text}")) == "+OK");
            }
        }
        assert!(damaged > 0, "there is no record");
    }

    /// Records all commands that the server receives from now on.
    pub(crate) fn monitor(&self) -> Monitor {
        let mut reader = self.connect();
        // The recording ends when the server does, even if no command arrives for a long time.
        reader.get_mut().set_read_timeout(None).unwrap();
        write!(reader.get_mut(), "MONITOR\r\n").unwrap();
        assert_eq!(line(&mut reader), "+OK");
        Monitor(thread::spawn(move || {
            let mut all = Vec::new();
            // Killing the server can also reset the connection.
            let _ = reader.read_to_end(&mut all);
            all
        }))
    }

    /// Makes the server write a dump, and returns all its files: the dump, the append-only files,
    /// and the log.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        assert_eq!(self.run("SAVE"), "+OK");
        let mut files = Vec::new();
        read_all(self.folder.path(), &mut files);
        for wanted in ["dump.rdb", ".incr.aof", "redis.log"] {
            let found =
                |(name, bytes): &(String, Vec<u8>)| name.ends_with(wanted) && !bytes.is_empty();
            assert!(files.iter().any(found), "{wanted}");
        }
        files
    }
}

/// A recording of the commands that `MONITOR` reports.
pub(crate) struct Monitor(thread::JoinHandle<Vec<u8>>);

impl Monitor {
    pub(crate) fn wait(self) -> Vec<u8> {
        self.0.join().unwrap()
    }
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Reads all files below a folder.
pub(crate) fn read_all(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else if path.is_file() {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
