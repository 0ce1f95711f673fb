//! Row 13: a SQLite file of ten million keys, compared with a file of ten thousand.
//!
//! Each workspace has a thousand keys. The workspaces take turns when keys are created, so that
//! consecutive keys belong to different workspaces, and an index by workspace is accessed at
//! scattered places.
//!
//! The two files differ in how often SQLite reads one of its pages from the file. In a file of
//! 2,000,000 keys, finding a key reads 2.8 pages with a cache of 2 MB, and 1.9 with one of 16 MiB,
//! as the store has. In a file of 10,000 keys, it reads 0.3 pages with 2 MB and none with 16 MiB. A
//! larger cache would help less: the page of the row is rarely in it, nor is the page above, since
//! inner pages contain whole rows. A commit of another connection empties the cache.
//!
//! A new key changes the end of its workspace in one index, and the end of its parent's children in
//! another. With thousands of workspaces, both are pages that no other key of the transaction
//! changes. So the log grows by 3.6 pages for each new key in the file of 2,000,000, and by 1.7 in
//! the file of 10,000, and a checkpoint copies each of them into the file.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod issued;
mod scale {
    pub(crate) mod filled;
    pub(crate) mod minted;
}

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use criterion::Criterion;
use keywright_benches::{BYTES_PER_ROW, run, runs_once, store_number};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use self::scale::{
    filled::{self, Filled},
    minted::{self, Contents, NAME, PERMISSIONS, Row},
};

/// Inserts a new key. The columns are those of the store's schema that a new key sets.
const INSERT: &str = "
    INSERT INTO keywright_keys
        (id, workspace, environment, name, permissions, enabled, parent, hash, tag, version)
    VALUES (?1, ?2, 0, ?3, ?4, 1, ?5, ?6, ?7, 1)";

/// No journal, and the indexes in memory. If filling fails, the file is discarded.
const SETTINGS: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = DELETE;
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -1500000;";

fn main() {
    run(scale);
}

fn scale(criterion: &mut Criterion) {
    // A run that only checks that the benchmark works should not write gigabytes.
    let [large, small] = if runs_once() {
        [20_000, 10_000]
    } else {
        [10_000_000, 10_000]
    };
    let runtime = issued::runtime();
    let (_small_folder, small, _) = fill(small);
    let (_large_folder, large, bytes) = fill(large);
    println!("{bytes:.0} bytes per key in the large file");
    store_number(BYTES_PER_ROW, bytes);
    filled::compare(criterion, "scale", &runtime, &large, &small);
}

/// Fills a new file with this many keys. Also returns its size, divided by their number.
fn fill(count: usize) -> (TempDir, Filled, f64) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("keys.db");
    drop(SqliteStore::open(&file).unwrap());
    let contents = write(&file, count);
    let bytes = fs::metadata(&file).unwrap().len() as f64 / count as f64;
    let filled = Filled::new(Arc::new(SqliteStore::open(file).unwrap()), contents);
    (folder, filled, bytes)
}

fn write(file: &Path, count: usize) -> Contents {
    let database = Connection::open(file).unwrap();
    database.execute_batch(SETTINGS).unwrap();
    database.execute_batch("BEGIN").unwrap();
    let mut insert = database.prepare(INSERT).unwrap();
    let contents = minted::mint(count, |row: Row<'_>| {
        insert
            .execute(params![
                row.minted.id.as_bytes(),
                row.workspace.as_str(),
                NAME,
                PERMISSIONS,
                row.parent.map(|id| id.as_bytes()),
                row.hash,
                row.minted.credential.tag.as_bytes(),
            ])
            .unwrap();
    });
    drop(insert);
    database.execute_batch("COMMIT").unwrap();
    drop(database);
    // Otherwise the system would write the data during the measurement.
    File::open(file).unwrap().sync_all().unwrap();
    contents
}
