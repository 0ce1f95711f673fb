//! What a store takes of the process that it is in, and gives back: memory, threads and open files.
//!
//! `KEYWRIGHT_TEST_ROUNDS=1000 cargo test -p keywright-store-redis --all-features --test footprint`
//! opens more of them.

#![cfg(target_os = "linux")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

// Its other half is for the tests beside it.
#[path = "redis/support/server.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod server;

use std::{fs, thread, time::Duration};

use futures_executor::block_on;
use keywright_core::KeyStore;
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};

use server::{Server, free_port};

/// How often stores are opened and dropped, unless the environment says otherwise.
const ROUNDS: usize = 200;

/// Rounds before the first look: what a process takes once it keeps.
const WARM_UP: usize = 50;

/// What the memory may differ by, in KiB: an allocator gives back what it likes.
const NOISE: u64 = 8 * 1024;

/// What this process has at a moment.
#[derive(Debug)]
struct Footprint {
    threads: u64,
    files: usize,
    memory: u64,
}

impl Footprint {
    /// A store that is dropped does not wait for its thread: this does.
    fn settled() -> Self {
        for _ in 0..1000 {
            let tasks = fs::read_dir("/proc/self/task").unwrap();
            let of_stores = tasks.filter(|task| {
                let name = fs::read_to_string(task.as_ref().unwrap().path().join("comm"));
                name.is_ok_and(|name| name.starts_with("kw-redis"))
            });
            if of_stores.count() == 0 {
                return Self::now();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the thread of a store that was dropped goes on");
    }

    fn now() -> Self {
        Self {
            threads: status("Threads:"),
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: status("VmRSS:"),
        }
    }
}

/// A figure of this process.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let figure = line.split_whitespace().nth(1).unwrap();
    figure.parse().unwrap()
}

/// Stores that work, that are not let go on, and that find nobody.
fn open_and_drop(server: &Server, nobody: &RedisConfig) {
    let store = server.store();
    assert!(block_on(store.is_empty()).unwrap());
    let refused = RedisConfig::new(server.url()).with_namespace("newer");
    let refused = block_on(RedisStore::connect(refused)).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { .. }));
    let unreachable = block_on(RedisStore::connect(nobody.clone())).unwrap_err();
    assert!(matches!(unreachable, OpenError::Unreachable(_)));
}

#[test]
fn stores_that_were_dropped_leave_no_thread_no_file_and_no_memory() {
    let server = Server::start();
    let () = server.run("SET newer:s:format 2").unwrap();
    let nobody = RedisConfig::new(format!("redis://127.0.0.1:{}", free_port()));
    let rounds = std::env::var("KEYWRIGHT_TEST_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for _ in 0..WARM_UP {
        open_and_drop(&server, &nobody);
    }
    let before = Footprint::settled();
    for _ in 0..rounds {
        open_and_drop(&server, &nobody);
    }
    let after = Footprint::settled();
    println!("before and after {rounds} rounds: {before:?}, {after:?}");
    assert!(after.threads <= before.threads);
    assert!(after.files <= before.files);
    assert!(after.memory < before.memory + NOISE);
}
