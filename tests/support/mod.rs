//! Helpers of the stories: the program, HTTP clients, PostgreSQL, Redis, tokens, and waiting.

mod client;
#[path = "../../crates/store-postgres/tests/postgres/cluster.rs"]
#[expect(dead_code, reason = "the tests of the store use the rest")]
mod cluster;
mod command;
mod nginx;
mod postgres;
mod redis;
mod response;
mod server;
mod token;
mod wait;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

pub(crate) use self::{
    client::{
        Client, STALENESS_BOUND, SetOnDrop, Times, now, under_load, wait_for_staleness_bound,
    },
    command::{
        assert_fails, events, keys, keys_json, keywright, operator_key, purge, run, run_with_input,
        verify,
    },
    nginx::Nginx,
    postgres::{Postgres, TlsPostgres},
    redis::Redis,
    response::Response,
    server::{Server, connect, get, request},
    token::{assert_nowhere_in, forge, id_of, parse, secret_of, with_last_character_changed},
    wait::{PATIENCE, until_available, wait_for},
};

/// Hashes new keys with HMAC-SHA-256, which is much faster than Argon2id.
pub(crate) const FAST: [&str; 2] = ["--hash", "hmac-sha256"];

/// The options of [`FAST`] for a server that also accepts any number of requests.
pub(crate) const FAST_UNLIMITED: [&str; 4] = ["--hash", "hmac-sha256", "--rate-limit", "0"];

/// Writes a file that only its owner can read, as the program requires for peppers.
pub(crate) fn write_private(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// Asserts that a SQLite file is not damaged.
pub(crate) fn assert_intact(file: &Path) {
    let database = rusqlite::Connection::open(file).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
