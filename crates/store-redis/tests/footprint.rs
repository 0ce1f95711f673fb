//! The threads, open files and memory of a process that opens and drops many stores.
//!
//! `KEYWRIGHT_TEST_ROUNDS=1000 cargo test -p keywright-store-redis --all-features --test footprint`
//! opens more stores.

#![cfg(target_os = "linux")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

#[path = "redis/support/server.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod server;

use std::{fs, thread, time::Duration};

use futures_executor::block_on;
use keywright_core::store::KeyStore;
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};

use server::{PATIENCE, Port, Server, connect_error};

/// The number of rounds, unless `KEYWRIGHT_TEST_ROUNDS` is set. Each opens and drops several
/// stores.
const ROUNDS: usize = 200;

/// Rounds before the first measurement, in which the process allocates what it never frees.
const WARM_UP: usize = 50;

/// The memory that the allocator may keep after a measurement, in KiB.
const NOISE: u64 = 8 * 1024;

/// The number of measurements. Without a leak, memory does not grow by more than the noise in all
/// of them.
const MEASUREMENTS: usize = 5;

/// The resources of this process.
#[derive(Debug)]
struct Footprint {
    threads: u64,
    files: usize,
    memory: u64,
}

impl Footprint {
    fn measure() -> Self {
        Self {
            threads: status("Threads:"),
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: status("VmRSS:"),
        }
    }

    /// Measures once there are no more threads and files than before. A store that is dropped does
    /// not wait for its thread, which closes its files.
    fn settled(before: &Self) -> Self {
        const POLL_INTERVAL: Duration = Duration::from_millis(10);
        let polls = PATIENCE.as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..polls {
            let now = Self::measure();
            if now.threads <= before.threads && now.files <= before.files {
                return now;
            }
            thread::sleep(POLL_INTERVAL);
        }
        panic!(
            "dropped stores leave threads or files: {before:?}, {:?}",
            Self::measure()
        );
    }
}

/// A figure in the status of this process.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let figure = line.split_whitespace().nth(1).unwrap();
    figure.parse().unwrap()
}

/// Opens and drops a store that works, a store that is rejected, and a store whose server cannot be
/// reached.
fn open_and_drop(server: &Server, unreachable: &RedisConfig) {
    let store = server.store();
    assert!(block_on(store.is_empty()).unwrap());
    connect_error(&server.config().with_namespace("newer"), |error| {
        matches!(error, OpenError::NewerFormat { .. })
    });
    let error = block_on(RedisStore::connect(unreachable.clone())).unwrap_err();
    assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
}

#[test]
fn dropped_stores_leave_no_threads_no_files_and_no_memory() {
    let server = Server::start();
    let () = server.run("SET newer:s:format 2").unwrap();
    let unused = Port::reserve();
    let unreachable = RedisConfig::new(format!("redis://127.0.0.1:{}", unused.number()));
    let rounds = std::env::var("KEYWRIGHT_TEST_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    // The first runtime opens a pipe for tokio's signal handling, which the process keeps. Other
    // crates of the workspace enable that feature.
    let mut first = Footprint::measure();
    first.files = usize::MAX;
    open_and_drop(&server, &unreachable);
    let first = Footprint::settled(&first);
    let run = |rounds: usize| {
        let mut last = None;
        for _ in 0..rounds {
            open_and_drop(&server, &unreachable);
            // On a busy machine threads would outlive their stores, and add up.
            last = Some(Footprint::settled(&first));
        }
        last.unwrap()
    };
    let mut before = run(WARM_UP);
    for _ in 0..MEASUREMENTS {
        let after = run(rounds);
        println!("before and after {rounds} rounds: {before:?}, {after:?}");
        if after.memory < before.memory + NOISE {
            return;
        }
        before = after;
    }
    panic!("memory grows each time");
}
