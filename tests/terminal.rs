//! The output of the program on a terminal, in a pipe, and on a full disk.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{
    FAST, Server, id_of, keys, keys_json, keywright, operator_key, run, run_with_input,
};

/// Returns both ends of a terminal with this number of columns.
fn terminal(columns: u16) -> (OwnedFd, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let end = File::options().write(true).open(name.to_str().unwrap());
    (master, end.unwrap())
}

/// Runs a command with standard output on a terminal, and returns what the terminal receives. It is
/// less than the terminal buffers.
fn on_terminal(columns: u16, mut command: Command) -> String {
    let (master, end) = terminal(columns);
    let status = command.stdout(end).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    // The command holds the other end of the terminal.
    drop(command);
    let mut received = Vec::new();
    let mut master = File::from(master);
    let mut part = [0; 4096];
    // When the other end is closed, a read fails after the last byte.
    while let Ok(length @ 1..) = master.read(&mut part) {
        received.extend_from_slice(&part[..length]);
    }
    String::from_utf8(received).unwrap().replace("\r\n", "\n")
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

/// Creates keys with each status.
fn create_keys(path: &Path) -> Vec<String> {
    let names = [
        "Production Server of the billing department",
        "laptop",
        "old",
    ];
    let tokens = names.map(|name| {
        let owner = ["--owner", "user:anna.long.name@example.com"];
        let create = ["create", "--name", name, "--expires-at", "2999-01-31T18:00"];
        keys(path, &[&create[..], &owner, &FAST].concat())
    });
    let ids = tokens.map(|token| id_of(token.trim_end()));
    keys(path, &["disable", &ids[1]]);
    keys(path, &["revoke", &ids[2]]);
    ids.to_vec()
}

#[test]
fn a_list_fits_the_width_of_a_terminal_and_colours_each_status() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let ids = create_keys(path);
    let list = |variables: &[(&str, &str)]| {
        let mut command = keywright(path, &["keys", "list"]);
        command.env("TERM", "xterm").envs(variables.iter().copied());
        command
    };
    let mut columns = Vec::new();
    for width in [60, 80, 120, 200] {
        let coloured = on_terminal(width, list(&[]));
        for (colour, status) in [("32", "active"), ("33", "disabled"), ("31", "revoked")] {
            let status = format!("\u{1b}[{colour}m{status}\u{1b}[0m");
            assert!(coloured.contains(&status), "{coloured:?}");
        }
        let table = without_colours(&coloured);
        for line in table.lines() {
            assert!(line.chars().count() <= width.into(), "{width}: {line}");
        }
        for part in ids.iter().map(String::as_str).chain(["2999-01-31  "]) {
            assert!(table.contains(part), "{width}: {part}: {table}");
        }
        columns.push(table.lines().next().unwrap().split("  ").count());
    }
    assert!(
        columns.is_sorted() && columns[0] < columns[3],
        "{columns:?}"
    );
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal(80, list(&[variable]));
        assert!(!plain.contains('\u{1b}'), "{variable:?}: {plain:?}");
    }
    // All columns, although they do not fit.
    let wide = on_terminal(60, keywright(path, &["keys", "list", "--wide"]));
    assert!(wide.contains("ATTRIBUTES"), "{wide}");
    let details = on_terminal(80, keywright(path, &["keys", "get", &ids[0]]));
    assert!(details.contains("status       "), "{details}");
    for command in [&["events"][..], &["keys", "report"]] {
        let table = on_terminal(60, keywright(path, command));
        for line in without_colours(&table).lines() {
            assert!(line.chars().count() <= 60, "{command:?}: {line}");
        }
    }
}

#[test]
fn a_pipe_receives_the_same_columns_and_whole_values_without_colours() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    create_keys(path);
    let piped = keys(path, &["list"]);
    let header: Vec<_> = piped.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["ID", "STATUS", "EXPIRES", "LAST", "USED", "OWNER", "NAME"]
    );
    for whole in [
        "Production Server of the billing department",
        "user:anna.long.name@example.com",
    ] {
        assert!(piped.contains(whole), "{piped}");
    }
    assert!(!piped.contains(['\u{1b}', '…']), "{piped}");
    let forced = keywright(path, &["keys", "list"])
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    let forced = String::from_utf8(forced.stdout).unwrap();
    assert!(forced.contains("\u{1b}[32mactive"), "{forced:?}");
}

#[test]
fn a_line_that_fails_does_not_mix_with_the_progress_of_an_import() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    operator_key(path, &FAST);
    let (master, end) = terminal(80);
    let mut child = keywright(path, &["import", "--format", "sha256-hex"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(end)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let progress = "\r\u{1b}[Kimported ";
    let mut received = String::new();
    let mut master = File::from(master);
    // The progress is shown after a second. Each byte that is read is the result of a bad line.
    while !received.contains(progress) {
        writeln!(input, "x").unwrap();
        let mut part = [0; 4096];
        let length = master.read(&mut part).unwrap();
        received.push_str(str::from_utf8(&part[..length]).unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    writeln!(input, "x").unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = master.read(&mut part) {
        received.push_str(str::from_utf8(&part[..length]).unwrap());
    }
    // A person sees the part of each line after the last time that it was cleared.
    let shown = received
        .split("\r\n")
        .map(|line| line.rsplit("\r\u{1b}[K").next().unwrap());
    for line in shown.filter(|line| !line.is_empty()) {
        let is_whole = line.starts_with("line ") && line.ends_with(": not a JSON object");
        assert!(
            is_whole || line.starts_with("error: "),
            "{line:?}: {received:?}"
        );
    }
}

/// Runs a command whose standard output is on a full disk, and returns its error.
#[track_caller]
fn on_full_disk(path: &Path, arguments: &[&str]) -> String {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = keywright(path, arguments)
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {log}");
    assert_eq!(log.lines().count(), 1, "{arguments:?}: {log}");
    log
}

#[test]
fn a_new_key_whose_token_cannot_be_printed_is_revoked() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for json in [&[][..], &["--json"]] {
        let create = ["keys", "create", "--name", "lost"];
        let log = on_full_disk(path, &[&create, json, &FAST].concat());
        assert!(log.contains("revoked the key"), "{log}");
        let listed = keys_json(path, &["list"]);
        let lost = &listed["data"][0];
        assert_eq!(lost["status"], "revoked", "{listed}");
        assert!(log.contains(lost["id"].as_str().unwrap()), "{log}");
    }
    // The reader of the pipe is gone before the token is printed.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let create = ["keys", "create", "--name", "lost", "--hash", "hmac-sha256"];
    let status = keywright(path, &create)
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let listed = keys_json(path, &["list", "--status", "revoked"]);
    assert_eq!(listed["meta"]["total"], 3, "{listed}");
}

#[test]
fn a_successor_whose_token_cannot_be_printed_is_named_and_can_be_rotated() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let id = id_of(&operator_key(path, &FAST));
    let log = on_full_disk(path, &["keys", "rotate", &id]);
    let successor = keys_json(path, &["get", &id])["successor_id"].take();
    let advice = format!("keywright keys rotate {}", successor.as_str().unwrap());
    assert!(log.contains(&advice), "{log}");
    keys(path, &["rotate", successor.as_str().unwrap()]);
}

#[test]
fn no_command_ignores_a_full_disk() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let id = id_of(&operator_key(path, &FAST));
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["keys", "list"],
        &["keys", "list", "--json"],
        &["keys", "get", &id],
        &["keys", "report"],
        &["keys", "disable", &id],
        &["keys", "revoke", &id],
        &["events"],
        &["events", "--json"],
        &["purge", "--events-before", "1d"],
        &["migrate"],
        &["openapi"],
        &["completions", "bash"],
        &["man"],
    ] {
        let log = on_full_disk(path, arguments);
        assert!(log.contains("standard output"), "{arguments:?}: {log}");
    }
}

#[test]
fn completions_manual_pages_and_the_openapi_document_are_printed() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let print = |arguments: &[&str]| {
        let output = run(path, arguments);
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = print(&["completions", shell]);
        assert!(script.contains("expires-at"), "{shell}: {script}");
    }
    let bash = run_with_input(path, &["completions", "bash"], "");
    let mut check = Command::new("bash")
        .args(["-n"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    Write::write_all(&mut check.stdin.take().unwrap(), &bash.stdout).unwrap();
    assert!(check.wait().unwrap().success());

    let page = print(&["man"]);
    assert!(page.contains(".TH keywright 1"), "{page}");
    assert_eq!(print(&["man", "--dir", "pages/man1"]), "");
    for name in ["keywright", "keywright-keys-create", "keywright-purge"] {
        let page = std::fs::read_to_string(path.join(format!("pages/man1/{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }

    let printed: Value = serde_json::from_str(&print(&["openapi"])).unwrap();
    let server = Server::start(path, &FAST);
    assert_eq!(printed, server.send("GET", "/openapi.json", "", "").json());
}
