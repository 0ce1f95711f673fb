//! The disk takes no more: a limit, a full file system, a file that may not be changed. Writes answer
//! 503, reads and verifications go on, and all is well again once there is room.

#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::tempdir;

use crate::support::{Server, keywright, operator_key};

const FAST: [&str; 4] = ["--hash", "hmac-sha256", "--rate-limit", "0"];

/// Takes the room away from a server, and gives it back.
fn assert_writes_wait(server: &Server, first: &str, fill: impl Fn(), empty: impl Fn()) {
    let create = || server.create(first, r#"{"name":"n"}"#);
    let list = || server.send("GET", "/v1/api-keys", first, "");
    let old = create();
    assert_eq!(old.status, 201, "{old:?}");
    let (path, token) = (old.header("location").to_owned(), old.text("secret"));
    for _ in 0..3 {
        fill();
        let before = list().json();
        for _ in 0..20 {
            let refused = create();
            assert_eq!(refused.status, 503, "{refused:?}");
            assert_eq!(refused.header("retry-after"), "1");
            assert_eq!(server.send("DELETE", &path, first, "").status, 503);
            assert_eq!(server.whoami(&token).status, 200);
            assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
        }
        // Nothing half done is seen.
        assert_eq!(list().json()["meta"]["total"], before["meta"]["total"]);
        empty();
        let new = create();
        assert_eq!(new.status, 201, "{new:?}");
        assert_eq!(server.whoami(&new.text("secret")).status, 200);
    }
    assert_eq!(server.send("DELETE", &path, first, "").status, 200);
    assert_eq!(server.whoami(&token).status, 401);
}

fn assert_sound(file: &Path) {
    let database = rusqlite::Connection::open(file).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

/// `RLIMIT_FSIZE`, as `LimitFSIZE=` of systemd sets it.
#[test]
fn a_server_whose_files_may_not_grow_was_killed_by_a_signal() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST[..2]);
    let server = Server::start(folder.path(), &FAST);
    let process = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    let unlimited = rustix::process::getrlimit(Resource::Fsize);
    let limit = |bytes| {
        let new = Rlimit {
            current: bytes,
            maximum: unlimited.maximum,
        };
        prlimit(Some(process), Resource::Fsize, new).unwrap();
    };
    let log = folder.path().join("keywright.db-wal");
    assert_writes_wait(
        &server,
        &first,
        || limit(Some(fs::metadata(&log).unwrap().len())),
        || limit(unlimited.current),
    );
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_sound(&folder.path().join("keywright.db"));
}

/// Runs a command in mounts of its own, which end with it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command
}

fn succeeds(command: &mut Command) -> bool {
    let output = command.stdout(Stdio::null()).stderr(Stdio::null());
    output.status().is_ok_and(|status| status.success())
}

#[test]
fn on_a_full_file_system_writes_wait_and_reads_go_on() {
    let folder = tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = r#"mount -t tmpfs -o size=2m keywright "$0""#;
    if !succeeds(unshare().args(["sh", "-c", mount]).arg(&disk)) {
        eprintln!("skipped: only root may mount a file system");
        return;
    }
    let first = operator_key(folder.path(), &FAST[..2]);
    let serve = format!(r#"{mount} && cp keywright.db disk && exec "$@""#);
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let on_disk = ["--store", "sqlite:disk/keywright.db"];
    let plain = keywright(folder.path(), &[]);
    let mut command = unshare();
    command.args(["sh", "-c", &serve]).arg(&disk);
    command.arg(plain.get_program());
    command.args(listen).args(on_disk).args(FAST);
    command.current_dir(folder.path());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    let server = Server::spawn(&mut command);
    // The mount is seen by the server alone.
    let seen = PathBuf::from(format!("/proc/{}/root", server.id()));
    let disk = seen.join(disk.strip_prefix("/").unwrap());
    let filler = disk.join("filler");
    let fill = || {
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    };
    assert_writes_wait(&server, &first, fill, || fs::remove_file(&filler).unwrap());
    // Until the log has been written back a few times, in so small a place.
    for _ in 0..600 {
        let answer = server.create(&first, r#"{"name":"n"}"#);
        if answer.status == 503 {
            break;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(server.whoami(&first).status, 200);
    let copy = folder.path().join("copy.db");
    for beside in ["", "-wal"] {
        let from = disk.join(format!("keywright.db{beside}"));
        fs::copy(from, format!("{}{beside}", copy.display())).unwrap();
    }
    assert_sound(&copy);
}

#[test]
fn a_log_that_was_made_immutable_takes_nothing_and_is_read_on() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST[..2]);
    let server = Server::start(folder.path(), &FAST);
    let log = folder.path().join("keywright.db-wal");
    let chattr = |flag| succeeds(Command::new("chattr").arg(flag).arg(&log));
    if !chattr("+i") {
        eprintln!("skipped: only root may make a file immutable, and not on every file system");
        return;
    }
    assert!(chattr("-i"));
    assert_writes_wait(
        &server,
        &first,
        || assert!(chattr("+i")),
        || assert!(chattr("-i")),
    );
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_sound(&folder.path().join("keywright.db"));
}
