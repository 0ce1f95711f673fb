//! The server and its resource usage, and the command line.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use crate::{
    store::Store,
    wait::{PATIENCE, wait_for},
};

/// A running server, killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Option<JoinHandle<Vec<String>>>,
}

/// The maximum number of warnings that are kept.
const MAX_WARNINGS: usize = 100;

impl Program {
    pub(crate) fn start(store: &Store) -> Self {
        Self::spawn(&mut keywright(store))
    }

    /// Starts a server under a limit of open files.
    pub(crate) fn start_with_ulimit(store: &Store, ulimit: &str) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!(r#"ulimit {ulimit} && exec "$0" "$@""#)])
            .arg(env!("CARGO_BIN_EXE_keywright"));
        Self::spawn(configure(&mut command, store))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            // The rate limit is active, but never reached.
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--rate-limit",
                "4000000000",
            ])
            // The slow clients are idle until the server closes their connections.
            .args(["--keep-alive", "30s"])
            // The cache is so small that it starts to evict keys within seconds.
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

    /// Waits until the server has this number of open files.
    pub(crate) fn wait_for_files(&self, count: u64) {
        wait_for("the server has accepted the connections", || {
            (self.usage().files == count).then_some(())
        });
    }

    /// Waits until the server has no more threads and open files than before.
    pub(crate) fn wait_until_settled(&self, before: Usage) -> Usage {
        wait_for("the server has closed all connections", || {
            Some(self.usage())
                .filter(|usage| usage.files <= before.files && usage.threads <= before.threads)
        })
    }

    /// Stops the server, and asserts that it exits in order and without warnings.
    pub(crate) fn stop(self) {
        assert_eq!(self.end(), [""; 0]);
    }

    /// Stops the server, and asserts that it exits in order. Returns its warnings.
    pub(crate) fn end(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(kill.unwrap().success());
        let status = self.child.wait().unwrap();
        let warnings = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {warnings:?}");
        warnings
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log to its end, and returns the lines that should not be there: warnings, and tokens.
fn read_log(log: ChildStderr, listening: &mpsc::Sender<SocketAddr>) -> Vec<String> {
    let mut warnings = Vec::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once("listening on http://") {
            let _ = listening.send(address.parse().unwrap());
        }
        // A stalled disk or Redis makes the store unavailable, and the clients repeat their
        // requests.
        let is_harmless = line.contains(" INFO ") || line.contains("unavailable");
        if (!is_harmless || line.contains("sk_live_")) && warnings.len() < MAX_WARNINGS {
            warnings.push(line);
        }
    }
    warnings
}

/// The resource usage of a process.
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

/// Returns the program with a store.
fn keywright(store: &Store) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    configure(&mut command, store);
    command
}

/// Sets the store, and removes the settings of the environment.
fn configure<'a>(command: &'a mut Command, store: &Store) -> &'a mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYWRIGHT_")) {
        command.env_remove(name);
    }
    command
        .current_dir(store.folder())
        .env("KEYWRIGHT_STORE", &store.url)
}

/// Runs `keywright keys` with arguments, and returns what it prints. It must succeed, and runs
/// again while the store is unavailable.
pub(crate) fn keys(store: &Store, arguments: &[&str]) -> String {
    wait_for("the store is available", || {
        let output = keywright(store)
            .arg("keys")
            .args(arguments)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() && log.contains("unavailable") {
            return None;
        }
        assert!(output.status.success(), "{arguments:?}: {log}");
        let printed = String::from_utf8(output.stdout).unwrap();
        Some(printed.trim_end().to_owned())
    })
}
