//! Row 7: creating a key that is on the disk when the answer comes.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

use std::{path::Path, sync::Arc};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, WallTime},
};
use keywright_benches::{in_turn, run};
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Workspace,
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const WORKSPACE: &str = "default";
const NAME: &str = "a name of 20 letters";
const PERMISSIONS: &str = "api_keys:write,calls:*";

fn main() {
    run(durable_create);
}

fn durable_create(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    in_turn(
        criterion,
        "durable-create",
        &mut [
            ("keywright-1", &mut |group, id| {
                keywright(group, id, &runtime, 1);
            }),
            ("keywright-64", &mut |group, id| {
                keywright(group, id, &runtime, 64);
            }),
            ("rusqlite", &mut |group, id| rusqlite(group, id)),
        ],
    );
}

/// On the disk that is built on: `/tmp` is memory on many machines, where durability costs nothing.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// As many tasks as callers share the creates among them, each waiting for its own answer.
fn keywright(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    callers: u64,
) {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = runtime
        .block_on(Keywright::open(config, Arc::new(store)))
        .unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|creates| {
            runtime.block_on(async {
                let start = WallTime.start();
                let tasks: Vec<_> = (0..callers)
                    .map(|caller| creates / callers + u64::from(caller < creates % callers))
                    .map(|share| tokio::spawn(create(keys.clone(), share)))
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                WallTime.end(start)
            })
        });
    });
}

async fn create(keys: Keywright, count: u64) {
    let permissions: Permissions = PERMISSIONS.parse().unwrap();
    let caller = Caller::new(Workspace::parse(WORKSPACE).unwrap(), permissions);
    let new = NewKey::new(Name::parse(NAME).unwrap());
    for _ in 0..count {
        keys.issuer().create(&caller, new.clone()).await.unwrap();
    }
}

/// What one thread reaches with SQLite alone: a row of the same size, under a key that grows like
/// the ids, in a transaction of its own, and no index to keep beside it.
fn rusqlite(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
    let folder = folder();
    let database = open(&folder.path().join("keys.db"));
    let mut insert = database
        .prepare(
            "INSERT INTO keys (id, workspace, environment, name, permissions, hash, tag, version)
             VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, 1)",
        )
        .unwrap();
    let hash = format!("$hmac-sha256${}${}", "A".repeat(22), "A".repeat(43));
    let mut key: u64 = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            key += 1;
            let id = format!("{key:016}").into_bytes();
            insert
                .execute(params![id, WORKSPACE, NAME, PERMISSIONS, hash, [0u8; 8]])
                .unwrap()
        });
    });
}

fn open(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE keys (
                 id BLOB NOT NULL PRIMARY KEY,
                 workspace TEXT NOT NULL,
                 environment INTEGER NOT NULL,
                 name TEXT NOT NULL,
                 permissions TEXT NOT NULL,
                 parent BLOB,
                 successor BLOB,
                 expires_at INTEGER,
                 revoked_at INTEGER,
                 last_used_at INTEGER,
                 hash TEXT NOT NULL,
                 tag BLOB NOT NULL,
                 version INTEGER NOT NULL,
                 metadata TEXT
             ) STRICT, WITHOUT ROWID;",
        )
        .unwrap();
    database
}
