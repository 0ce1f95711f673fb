//! Row 14: the memory of a cached key. This measures bytes and not time, so it does not use
//! criterion, but it stores its result in criterion's folder.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

mod issued;

use std::{fs, sync::Arc};

use futures_executor::block_on;
use keywright_benches::{BYTES_PER_KEY, results, runs_once, tasks};
use keywright_core::{Config, Keywright, Scheme};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

fn main() {
    let count: u32 = if runs_once() { 10_000 } else { 1_000_000 };
    let bytes = f64::from(memory_of_cached_keys(count)) / f64::from(count);
    println!("{bytes:.0} bytes per key in a cache of {count} keys");
    if !runs_once() {
        let file = results().unwrap().join(BYTES_PER_KEY);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes.to_string()).unwrap();
    }
}

/// Measures by how much the memory of the process grows when it verifies this many keys. The keys
/// are in a file, so that the memory of a store is not counted.
fn memory_of_cached_keys(count: u32) -> u32 {
    let count = usize::try_from(count).unwrap();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(issued::prefix())
        .with_scheme(Scheme::HmacSha256)
        .with_cache(count)
        .with_cache_bytes(usize::MAX);
    let keys = block_on(Keywright::open(config, Arc::new(store))).unwrap();
    let runtime = issued::runtime();
    let tokens = issued::issue(&keys, count, &runtime);
    let before = anonymous_bytes();
    runtime.block_on(async {
        tasks::share(64, count, |indices| issued::verify(&keys, &tokens, indices)).await;
        keys.flush().await.unwrap();
    });
    anonymous_bytes().saturating_sub(before)
}

/// Returns the resident anonymous memory of this process, in bytes.
fn anonymous_bytes() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u32>().unwrap() * 1024
}
