//! A server has just started, and must verify many keys for the first time.

#![cfg(target_os = "linux")]

use std::{sync::Barrier, thread};

use tempfile::tempdir;

use crate::support::{Server, operator_key, wait_for};

const KEYS: usize = 200;

/// Returns a member of `/proc/PID/status`, in KiB.
fn memory(server: &Server, member: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(member));
    let kib = line.unwrap().trim_start_matches(':').trim();
    kib.trim_end_matches(" kB").parse().unwrap()
}

/// Sends `GET /v1/whoami` until it is accepted. On a slow machine the request may wait for Argon2
/// for longer than the request timeout. The server then responds with 408.
fn whoami(server: &Server, token: &str) {
    let status = wait_for("the key is verified", || {
        Some(server.whoami(token).status).filter(|status| *status != 408)
    });
    assert_eq!(status, 200);
}

#[test]
fn two_hundred_first_verifications_at_once_use_one_block_of_argon2_memory_for_each_core() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &["--rate-limit", "0"]);
    let tokens: Vec<String> = (0..KEYS)
        .map(|_| server.create(&admin, r#"{"name":"n"}"#).text("secret"))
        .collect();
    server.stop();

    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.send("GET", "/healthz", "x", "").status, 200);
    let before = memory(&server, "VmRSS");
    let start = Barrier::new(KEYS);
    thread::scope(|scope| {
        for token in &tokens {
            scope.spawn(|| {
                start.wait();
                whoami(&server, token);
            });
        }
    });
    let used = memory(&server, "VmHWM") - before;
    println!("{KEYS} first verifications: {used} KiB at the peak");
    // A run of Argon2 uses 19 MiB. 200 runs at once would use 3.8 GiB.
    let cores = thread::available_parallelism().unwrap().get() as u64;
    let limit = (cores * 19 + 64) * 1024;
    assert!(used <= limit, "{used} KiB, more than {limit} KiB");
    for token in &tokens {
        whoami(&server, token);
    }
}
