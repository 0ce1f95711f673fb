//! The real server under as much load as two cores can create.
//!
//! Callers manage and verify keys, an operator uses the command line, and hostile clients send
//! garbage, close connections early, or are as slow as possible. Every response is compared with
//! the expected state of the keys. In the end the clients must have left nothing behind.
//!
//! This takes half a minute in `cargo test`. For ten minutes, with a bound on the growth of memory
//! and a report on standard output:
//!
//! ```sh
//! export KEYWRIGHT_LOAD_SECONDS=600
//! cargo test --release -p keywright --test load over_sqlite -- --nocapture
//! ```
//!
//! Likewise for `over_redis`.

// The resource usage of the program is read from /proc.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod caller;
mod case;
mod client;
mod flood;
mod hostile;
mod keys;
mod load;
mod operator;
mod program;
#[expect(dead_code, reason = "the stories use more of it")]
#[path = "../support/redis.rs"]
mod redis;
#[expect(dead_code, reason = "the stories use more of it")]
#[path = "../support/response.rs"]
mod response;
mod rng;
mod slow;
mod store;
mod tally;
#[path = "../support/wait.rs"]
mod wait;

use self::store::Store;

#[test]
fn over_sqlite() {
    load::run(&Store::sqlite());
}

#[test]
fn over_redis() {
    load::run(&Store::redis());
}

/// The soft limit of open files is low, and the program raises it.
#[test]
fn more_clients_than_the_server_accepts_connections() {
    let warnings = flood::run(&Store::sqlite(), "-S -n 256", 1_000);
    assert_eq!(warnings, [""; 0]);
}

/// The hard limit of open files is low.
#[test]
fn more_clients_than_the_system_allows_connections() {
    let warnings = flood::run(&Store::sqlite(), "-n 256", 156);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("156 connections at a time"),
        "{warnings:?}"
    );
}
