//! The disk is full: by a limit, a full file system, or a file that cannot be changed.
//!
//! Writes return 503, reads and verifications continue, and writes succeed again once there is
//! room.

#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Response, Server, assert_intact, keywright, operator_key, wait_for,
};

/// Fills the disk and empties it again, and asserts that only writes in between fail.
///
/// A checkpoint, a second after the last write, lets SQLite write from the start of the log again.
/// The log then has room for a few writes, although the disk is full.
fn assert_only_writes_fail(server: &Server, first: &str, fill: impl Fn(), empty: impl Fn()) {
    let create = || {
        let created = server.create(first, r#"{"name":"n"}"#);
        assert_eq!(created.status, 201, "{created:?}");
        created
    };
    let total = || {
        let listed = server.send("GET", "/v1/api-keys", first, "").json();
        listed["meta"]["total"].as_u64().unwrap()
    };
    let old = create();
    let (path, token) = (old.header("location"), old.text("secret"));
    for _ in 0..3 {
        let spare: Vec<Response> = (0..4).map(|_| create()).collect();
        fill();
        let (before, mut created, mut kept) = (total(), 0, 0);
        for attempt in 0..20 {
            let rejected = wait_for("the log has no room", || {
                let body = r#"{"name":"n"}"#;
                let response = server.send_once("POST", "/v1/api-keys", first, body);
                let is_created = response.status == 201;
                created += u64::from(is_created);
                (!is_created).then_some(response)
            });
            assert_eq!(rejected.status, 503, "{rejected:?}");
            assert_eq!(rejected.header("retry-after"), "1");
            if let Some(key) = spare.get(attempt) {
                let revoked = server.send_once("DELETE", key.header("location"), first, "");
                assert!([200, 503].contains(&revoked.status), "{revoked:?}");
                let expected = if revoked.status == 503 { 200 } else { 401 };
                assert_eq!(server.whoami(&key.text("secret")).status, expected);
                kept += u32::from(expected == 200);
            }
            assert_eq!(server.whoami(&token).status, 200);
            assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
        }
        assert!(kept > 0, "no revocation was rejected");
        // No failed write has stored anything.
        assert_eq!(total(), before + created);
        empty();
        let new = create();
        assert_eq!(server.whoami(&new.text("secret")).status, 200);
    }
    assert_eq!(server.send("DELETE", path, first, "").status, 200);
    assert_eq!(server.whoami(&token).status, 401);
}

/// `RLIMIT_FSIZE`, which `LimitFSIZE=` of systemd sets. A write beyond it sends SIGXFSZ, which by
/// default kills the process.
#[test]
fn a_server_survives_the_signal_of_the_file_size_limit() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
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
    assert_only_writes_fail(
        &server,
        &first,
        || limit(Some(fs::metadata(&log).unwrap().len())),
        || limit(unlimited.current),
    );
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_intact(&folder.path().join("keywright.db"));
}

/// Returns a command that runs another in a separate mount namespace.
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
fn on_a_full_file_system_only_writes_fail() {
    let folder = tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = r#"mount -t tmpfs -o size=2m keywright "$0""#;
    if !succeeds(unshare().args(["sh", "-c", mount]).arg(&disk)) {
        eprintln!("skipped: cannot mount a file system here; this needs root");
        return;
    }
    let first = operator_key(folder.path(), &FAST);
    let serve = format!(r#"{mount} && cp keywright.db disk && exec "$@""#);
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let on_disk = ["--store", "sqlite:disk/keywright.db"];
    let plain = keywright(folder.path(), &[]);
    let mut command = unshare();
    command.args(["sh", "-c", &serve]).arg(&disk);
    command.arg(plain.get_program());
    command.args(listen).args(on_disk).args(FAST_UNLIMITED);
    command.current_dir(folder.path());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    let server = Server::spawn(&mut command);
    // Only the server sees the mount.
    let seen = PathBuf::from(format!("/proc/{}/root", server.id()));
    let disk = seen.join(disk.strip_prefix("/").unwrap());
    let filler = disk.join("filler");
    let fill = || {
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    };
    assert_only_writes_fail(&server, &first, fill, || fs::remove_file(&filler).unwrap());
    // Write until the file system is full or the log has been checkpointed a few times.
    for _ in 0..600 {
        let response = server.send_once("POST", "/v1/api-keys", &first, r#"{"name":"n"}"#);
        if response.status == 503 {
            break;
        }
        assert_eq!(response.status, 201, "{response:?}");
    }
    assert_eq!(server.whoami(&first).status, 200);
    let copy = folder.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let from = disk.join(format!("keywright.db{suffix}"));
        fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    assert_intact(&copy);
}

#[test]
fn with_an_immutable_log_only_writes_fail() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let log = folder.path().join("keywright.db-wal");
    let chattr = |flag| succeeds(Command::new("chattr").arg(flag).arg(&log));
    if !chattr("+i") {
        eprintln!(
            "skipped: cannot make a file immutable here; this needs root and a suitable file system"
        );
        return;
    }
    assert!(chattr("-i"));
    assert_only_writes_fail(
        &server,
        &first,
        || assert!(chattr("+i")),
        || assert!(chattr("-i")),
    );
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_intact(&folder.path().join("keywright.db"));
}
