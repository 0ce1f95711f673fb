//! The store keeps the contract over real servers, and what becomes of it when they fail.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod clustered;
mod conformance;
mod cut_off;
mod database;
mod full;
mod hearing;
mod interrupted;
mod names;
mod opening;
mod outage;
mod purging;
mod refusing;
mod replicas;
mod rules;
mod sample;
mod stopped;
mod superseded;
mod support;
mod thrown_out;
mod verifying;

use futures_executor::block_on;
use keywright_core::{KeyId, KeyStore, Reach, Record};
use keywright_store_redis::RedisStore;

/// Inserts a record that must be admitted.
#[track_caller]
fn insert(store: &RedisStore, record: Record) -> Record {
    block_on(store.insert(&record, sample::now())).unwrap();
    record
}

/// Revokes a key that must be there.
#[track_caller]
fn revoke(store: &RedisStore, record: &Record) {
    let Record { key, .. } = record;
    block_on(store.revoke(&key.workspace, &key.id, Reach::Key, sample::now())).unwrap();
}

/// Revokes a key that must be there and all that descends from it, and tells how many that were.
#[track_caller]
fn revoke_all(store: &RedisStore, record: &Record) -> u64 {
    let Record { key, .. } = record;
    let revoked = store.revoke(&key.workspace, &key.id, Reach::Descendants, sample::now());
    block_on(revoked).unwrap().count
}

/// Whether a key that must be there is revoked.
#[track_caller]
fn is_revoked(store: &RedisStore, id: &KeyId) -> bool {
    let record = block_on(store.find(id)).unwrap().unwrap();
    record.key.revoked_at.is_some()
}

/// All that an error says, with what caused it.
fn story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story += &format!(": {error}");
        cause = error.source();
    }
    story
}
