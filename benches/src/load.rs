//! The names of the constants of `SCALING.md`, which the benchmark `server_load` measures.

/// The store in a file.
pub const SQLITE: &str = "sqlite";
/// The store in Redis.
pub const REDIS: &str = "redis";
/// The store in PostgreSQL.
pub const POSTGRES: &str = "postgres";

/// The time of reading a record: alone, and among 64 concurrent reads.
pub const READ: [&str; 2] = ["read-1", "read-64"];
/// The time of creating a key with its event: alone, and among 64 concurrent creates.
pub const CREATE: [&str; 2] = ["create-1", "create-64"];
/// The time of revoking a key with its event: alone, and among 64 concurrent revocations.
pub const REVOKE: [&str; 2] = ["revoke-1", "revoke-64"];
/// The time of writing the last use of a key.
pub const LAST_USE: &str = "last-use";
/// The time that each process takes every second to follow the changes.
pub const FOLLOW: &str = "follow";
/// The time of reporting a change to one process.
pub const REPORT: &str = "report";
/// The bytes of a key.
pub const KEY_BYTES: &str = "key-bytes";
/// The bytes of an event.
pub const EVENT_BYTES: &str = "event-bytes";

/// Returns the file for a constant of a store, in criterion's folder. Times are in nanoseconds.
#[must_use]
pub fn file(store: &str, constant: &str) -> String {
    format!("server-load/{store}-{constant}")
}
