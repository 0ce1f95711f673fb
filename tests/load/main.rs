//! The real server under all the load that two cores can make: callers that manage and verify keys,
//! an operator beside them, and clients that send garbage, leave in the middle, or are as slow as
//! they can be. Every answer is held against what is known of the keys; in the end nothing is left
//! of those who have gone.
//!
//! Half a minute in `cargo test`. Ten minutes, with the use of memory bounded and a report on standard
//! output:
//!
//! ```sh
//! KEYWRIGHT_LOAD_SECONDS=600 cargo test --release --package keywright --test load over_sqlite -- --nocapture
//! ```
//!
//! and the same for `over_redis`.

// What the program uses is read in /proc.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

#[expect(dead_code, reason = "the stories need more of it")]
#[path = "../answer.rs"]
mod answer;
mod caller;
mod case;
mod client;
mod flood;
mod held;
mod hostile;
mod load;
mod operator;
mod program;
#[expect(dead_code, reason = "the stories need more of it")]
#[path = "../redis.rs"]
mod redis;
mod slow;
mod store;
mod tally;

use self::store::Store;

#[test]
fn over_sqlite() {
    load::run(&Store::sqlite());
}

#[test]
fn over_redis() {
    load::run(&Store::redis());
}

/// Systems give a process few files unless it asks for more.
#[test]
fn more_connections_than_there_are_places() {
    let complaints = flood::run(&Store::sqlite(), "-S -n 256", 1_000);
    assert_eq!(complaints, [""; 0]);
}

#[test]
fn more_connections_than_the_system_allows() {
    let complaints = flood::run(&Store::sqlite(), "-n 256", 156);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("156 connections at a time"),
        "{complaints:?}"
    );
}
