//! A server that has just started, and must verify many keys for the first time.

use std::{sync::Barrier, thread};

use tempfile::tempdir;

use crate::{
    client::now,
    support::{Server, operator_key},
};

const KEYS: usize = 200;

#[cfg(target_os = "linux")]
fn status(server: &Server, member: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(member));
    let kib = line.unwrap().trim_start_matches(':').trim();
    kib.trim_end_matches(" kB").parse().unwrap()
}

/// Hundredths of a second of all cores.
#[cfg(target_os = "linux")]
fn processor_time(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let rest = text.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_verifications_of_two_hundred_keys_at_once_take_no_more_memory_than_the_cores_allow() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &["--rate-limit", "0"]);
    let tokens: Vec<String> = (0..KEYS)
        .map(|_| server.create(&admin, r#"{"name":"n"}"#).text("secret"))
        .collect();
    server.stop();

    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.send("GET", "/healthz", "x", "").status, 200);
    let (before, spent) = (status(&server, "VmRSS"), processor_time(&server));
    let start = Barrier::new(KEYS + 1);
    let begun = thread::scope(|scope| {
        for token in &tokens {
            scope.spawn(|| {
                start.wait();
                assert_eq!(server.whoami(token).status, 200);
            });
        }
        start.wait();
        now()
    });
    let (elapsed, spent) = (begun.elapsed(), processor_time(&server) - spent);
    let taken = status(&server, "VmHWM") - before;
    println!(
        "{KEYS} first verifications: {elapsed:?}, {spent}0 ms of processor time, {taken} KiB at the peak"
    );
    let cores = thread::available_parallelism().unwrap().get() as u64;
    let most = (cores * 19 + 64) * 1024;
    assert!(taken <= most, "{taken} KiB of {most} were taken");
    let begun = now();
    for token in &tokens {
        assert_eq!(server.whoami(token).status, 200);
    }
    println!(
        "{KEYS} second verifications, one after the other: {:?}",
        begun.elapsed()
    );
}
