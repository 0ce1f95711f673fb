//! `keywright events --follow`.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{FAST, Redis, Server, events, id_of, keys, keywright, operator_key, wait_for};

/// A running `keywright events --follow`, killed when dropped.
struct Follower {
    process: Child,
    printed: Option<BufReader<ChildStdout>>,
    notes: BufReader<std::process::ChildStderr>,
}

impl Follower {
    /// Starts the command, and waits until it waits for new events.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["events", "--follow"], arguments].concat();
        let mut process = keywright(folder, &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = process.stdout.take().map(BufReader::new);
        let notes = BufReader::new(process.stderr.take().unwrap());
        let mut follower = Self {
            process,
            printed,
            notes,
        };
        let note = follower.note();
        assert!(note.contains("waiting for new events"), "{note}");
        follower
    }

    /// Waits for the next line on standard error.
    fn note(&mut self) -> String {
        let mut line = String::new();
        self.notes.read_line(&mut line).unwrap();
        line
    }

    /// Waits for the next line on standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.printed.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits until the process exits. Returns its status, and what it has printed since.
    fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for("the program exits", || self.process.try_wait().unwrap());
        let mut rest = String::new();
        self.notes.read_to_string(&mut rest).unwrap();
        if let Some(printed) = &mut self.printed {
            printed.read_to_string(&mut rest).unwrap();
        }
        (status, rest)
    }

    fn interrupt(self) -> (ExitStatus, String) {
        let id = self.process.id().to_string();
        let interrupted = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(interrupted.unwrap().success());
        self.wait()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn follow_prints_the_changes_of_other_processes_until_it_is_interrupted() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let admin = operator_key(path, &FAST);
    let server = Server::start(path, &FAST);
    let mut all = Follower::start(path, &["--json"]);
    let mut table = Follower::start(path, &[]);
    let mut of_key = Follower::start(path, &["--json", "--key", &id_of(&admin)]);
    // One change by a server, one in another workspace, and two by a command.
    let created = server.create(&admin, r#"{"name":"n"}"#).text("id");
    operator_key(path, &[&FAST[..], &["--workspace", "other"]].concat());
    keys(path, &["disable", &created]);
    keys(path, &["revoke", &id_of(&admin), "--cascade"]);
    let listed = events(path, &[]);
    assert_eq!(listed.len(), 4);
    // The event that existed before is not printed.
    for event in &listed[1..] {
        assert_eq!(all.event(), *event);
    }
    assert_eq!(of_key.event(), listed[3]);
    let header = table.line();
    assert!(header.starts_with("TIME  "), "{header}");
    for change in ["created", "updated", "revoked"] {
        let line = table.line();
        assert!(line.contains(&format!("  {change}  ")), "{line}");
    }
    for follower in [all, table, of_key] {
        let (status, rest) = follower.interrupt();
        assert!(status.success() && rest.is_empty(), "{status}: {rest}");
    }
}

#[test]
fn follow_ends_when_its_reader_has_closed_the_pipe() {
    let folder = tempdir().unwrap();
    operator_key(folder.path(), &FAST);
    let mut follower = Follower::start(folder.path(), &[]);
    follower.printed = None;
    let (status, rest) = follower.wait();
    assert!(status.success() && rest.is_empty(), "{status}: {rest}");
}

#[test]
fn follow_goes_on_after_an_outage_of_the_store() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let mut redis = Redis::start(path, &["--appendonly", "yes"]);
    let store = ["--store", &redis.url.clone()];
    let token = operator_key(path, &[&FAST[..], &store].concat());
    let mut follower = Follower::start(path, &[&["--json"], &store[..]].concat());
    redis.kill();
    let note = follower.note();
    assert!(note.contains("unavailable"), "{note}");
    redis.restart();
    keys(path, &[&["revoke", &id_of(&token)], &store[..]].concat());
    assert_eq!(follower.event()["type"], "api_key.revoked");
    let (status, _) = follower.interrupt();
    assert!(status.success(), "{status}");
}
