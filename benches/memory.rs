//! Row 14: what a key takes in the cache. It counts bytes and no time, and so is no bench of
//! criterion's; its figure lies beside criterion's results.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

mod issued;

use std::{fs, sync::Arc};

use futures_executor::block_on;
use keywright_benches::{BYTES_A_KEY, results, runs_once};
use keywright_core::{Config, Keywright, Scheme};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

fn main() {
    let count: u32 = if runs_once() { 10_000 } else { 1_000_000 };
    let bytes = f64::from(anonymous_bytes_of_cached(count)) / f64::from(count);
    println!("{bytes:.0} bytes a key in a cache of {count}");
    if !runs_once() {
        let file = results().unwrap().join(BYTES_A_KEY);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes.to_string()).unwrap();
    }
}

/// What a process grows by when it verifies that many keys. They come from a file, so that their
/// rows are not counted, and each is parsed by itself.
fn anonymous_bytes_of_cached(count: u32) -> u32 {
    let count = usize::try_from(count).unwrap();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
    let config = Config::new(issued::prefix())
        .with_scheme(Scheme::HmacSha256)
        .with_cache(count);
    let keys = block_on(Keywright::open(config, Arc::new(store))).unwrap();
    let runtime = issued::runtime();
    let tokens = issued::issue(&keys, count, &runtime);
    let before = anonymous_bytes();
    runtime.block_on(async {
        issued::among(64, count, |places| issued::verify(&keys, &tokens, places)).await;
        keys.flush().await.unwrap();
    });
    anonymous_bytes().saturating_sub(before)
}

/// What of this process is in memory and in no file.
fn anonymous_bytes() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u32>().unwrap() * 1024
}
