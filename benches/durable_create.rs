//! Row 7: creating a key, durable before the call returns.
//!
//! With 64 tasks, the thread that writes is the bottleneck: it takes 56 % of the samples of `perf`,
//! and all tasks together take 32 %. Of these 56 %, 11 are the sync of the log, 8 are writes to the
//! log and the file, and most of the rest is SQLite. According to callgrind, SQLite executes 42,700
//! instructions for a key with its event in a transaction of 64, and 20,800 for a key alone. A
//! savepoint for each key would add 30,100. A quarter goes to the search for the place in the five
//! B-trees, a fifth to their balance. In such a transaction, a key with its event writes 0.8 pages
//! to the log, and a key alone 0.3: all keys are of one workspace, unlike in `scale.rs`. A rowid
//! table for the events would save 3 % of the instructions and a fifth of these pages, and removing
//! the indexes for `test` callers would save 5 % of the instructions.
//!
//! With one task, a creation writes about four pages more to the log than the reference, and reads
//! the metadata of the three files. Both pass the work to another thread and back. On a virtual
//! machine with two cores, a wake-up takes up to 60 µs, which `cold.rs` explains.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use keywright_benches::{compare_in_turn, run, tasks};
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Workspace,
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::spawn_blocking};

const WORKSPACE: &str = "default";
const NAME: &str = "a name of 20 letters";
const PERMISSIONS: &str = "api_keys:write,calls:*";

fn main() {
    run(durable_create);
}

fn durable_create(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    compare_in_turn(
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
            ("rusqlite-blocking", &mut |group, id| {
                rusqlite_blocking(group, id, &runtime);
            }),
        ],
    );
}

/// Creates a folder on the disk of the target folder. On many machines `/tmp` is in memory, where
/// syncs are free.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn keywright(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    tasks: usize,
) {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = runtime
        .block_on(Keywright::open(config, Arc::new(store)))
        .unwrap();
    tasks::bench(group, id, runtime, tasks, |indices| {
        create(keys.clone(), indices.len())
    });
}

async fn create(keys: Keywright, count: usize) {
    let permissions: Permissions = PERMISSIONS.parse().unwrap();
    let caller = Caller::new(Workspace::parse(WORKSPACE).unwrap(), permissions);
    let new = NewKey::new(Name::parse(NAME).unwrap());
    for _ in 0..count {
        keys.issuer().create(&caller, new.clone()).await.unwrap();
    }
}

const INSERT: &str = "
    INSERT INTO keys (id, workspace, environment, name, permissions, hash, tag, version)
    VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, 1)";

/// Inserts a row of the same size as that of a key.
fn insert(database: &Connection, number: u64) {
    let hash = format!("$hmac-sha256${}${}", "A".repeat(22), "A".repeat(43));
    let id = format!("{number:016}").into_bytes();
    let mut insert = database.prepare_cached(INSERT).unwrap();
    insert
        .execute(params![id, WORKSPACE, NAME, PERMISSIONS, hash, [0u8; 16]])
        .unwrap();
}

/// The reference: one thread inserts rows with SQLite directly, each in its own transaction. The
/// keys increase like ids, and there is no secondary index.
fn rusqlite(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
    let folder = folder();
    let database = open(&folder.path().join("keys.db"));
    let mut number: u64 = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            number += 1;
            insert(&database, number);
        });
    });
}

/// The reference: the same, for an asynchronous caller.
fn rusqlite_blocking(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, runtime: &Runtime) {
    let folder = folder();
    let database = Arc::new(Mutex::new(open(&folder.path().join("keys.db"))));
    let numbers = Arc::new(AtomicU64::new(0));
    tasks::bench(group, id, runtime, 1, |indices| {
        let (database, numbers) = (Arc::clone(&database), Arc::clone(&numbers));
        async move {
            for _ in indices {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let database = Arc::clone(&database);
                let inserted = spawn_blocking(move || insert(&database.lock().unwrap(), number));
                inserted.await.unwrap();
            }
        }
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
