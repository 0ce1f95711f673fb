//! The program: the server's process and what the system tells about it, and the operator's commands.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{client::PATIENCE, store::Store};

/// A running server; killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Option<JoinHandle<Vec<String>>>,
}

/// Most lines of the log that are kept.
const KEPT: usize = 100;

impl Program {
    pub(crate) fn start(store: &Store) -> Self {
        Self::spawn(&mut keywright(store))
    }

    /// Where `ulimit` has set how many files a process may have open.
    pub(crate) fn start_with_ulimit(store: &Store, ulimit: &str) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!(r#"ulimit {ulimit} && exec "$0" "$@""#)])
            .arg(env!("CARGO_BIN_EXE_keywright"));
        Self::spawn(place(&mut command, store))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            // The limit is there, and out of the way.
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--rate-limit",
                "4000000000",
            ])
            // Few enough that keys make room for others from the first seconds on.
            .args(["--cache", "2000", "--hash", "hmac-sha256"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (listening, address) = mpsc::channel();
        let log = thread::spawn(move || read_log(stderr, &listening));
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the server does not listen: {:?}", log.join());
        };
        Self {
            child,
            address,
            log: Some(log),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let first = line.unwrap().split_whitespace().next();
            first.unwrap().parse().unwrap()
        };
        Usage {
            resident_kib: number("VmRSS:"),
            threads: number("Threads:"),
            files: fs::read_dir(format!("{process}/fd")).unwrap().count() as u64,
        }
    }

    /// Waits until it has so many files.
    pub(crate) fn await_files(&self, count: u64) {
        for _ in 0..600 {
            if self.usage().files == count {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("not {count} files: {}", self.usage());
    }

    /// Waits until there are no more threads and files than before: connections take a moment to end.
    pub(crate) fn settle(&self, before: Usage) -> Usage {
        for _ in 0..600 {
            let usage = self.usage();
            if usage.files <= before.files && usage.threads <= before.threads {
                return usage;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "clients have left something behind: {}, before {before}",
            self.usage()
        );
    }

    /// Asks it to stop, and asserts that it finished its work and had nothing to complain about.
    pub(crate) fn stop(self) {
        assert_eq!(self.end(), [""; 0]);
    }

    /// Asks it to stop, and asserts that it finished its work; what it has complained about.
    pub(crate) fn end(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(kill.unwrap().success());
        let status = self.child.wait().unwrap();
        let complaints = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {complaints:?}");
        complaints
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log to its end, and keeps what should not be there: complaints, and tokens.
fn read_log(log: ChildStderr, listening: &mpsc::Sender<SocketAddr>) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once("listening on http://") {
            let _ = listening.send(address.parse().unwrap());
        }
        let is_information = line.contains(" INFO ") && !line.contains("sk_live_");
        if !is_information && kept.len() < KEPT {
            kept.push(line);
        }
    }
    kept
}

/// What a process uses.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) files: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resident_kib,
            threads,
            files,
        } = self;
        write!(
            f,
            "{resident_kib} KiB, {threads} threads, {files} file descriptors"
        )
    }
}

/// The program with a store, without the environment's settings for it.
fn keywright(store: &Store) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    place(&mut command, store);
    command
}

fn place<'a>(command: &'a mut Command, store: &Store) -> &'a mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYWRIGHT_")) {
        command.env_remove(name);
    }
    command
        .current_dir(store.folder())
        .env("KEYWRIGHT_STORE", &store.url)
}

/// A command of the operator, and what it has printed.
pub(crate) fn operate(store: &Store, arguments: &[&str]) -> String {
    let output = keywright(store)
        .arg("keys")
        .args(arguments)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}
