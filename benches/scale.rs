//! Row 13: a file of ten million keys, compared with a file of ten thousand.
//!
//! Each workspace has a thousand keys. Keys are created for one workspace after another, so that
//! consecutive keys belong to different workspaces, and an index by workspace is accessed at
//! scattered places.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod issued;
mod scale {
    pub(crate) mod fill;
}

use std::{fs, sync::Arc};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{BYTES_PER_ROW, compare_in_turn, results, run, runs_once, tasks};
use keywright_core::{Caller, Config, Keywright, ListKeys, ListStart, Name, NewKey, Page, Scheme};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::{issued::TokenBytes, scale::fill};

const PAGE: u32 = ListKeys::MAX_LIMIT;

/// The number of workspaces whose pages are read.
const LISTED: usize = 1_000;

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
    let small = Filled::with(small);
    let large = Filled::with(large);
    println!(
        "{:.0} bytes per key in a file of {} keys",
        large.bytes_per_key, large.count
    );
    if !runs_once() {
        let file = results().unwrap().join(BYTES_PER_ROW);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, large.bytes_per_key.to_string()).unwrap();
    }
    compare_in_turn(
        criterion,
        "scale",
        &mut [
            ("large-verify", &mut |group, id| {
                large.verify(group, id, &runtime)
            }),
            ("small-verify", &mut |group, id| {
                small.verify(group, id, &runtime)
            }),
            ("large-page", &mut |group, id| large.pages(group, id)),
            ("small-page", &mut |group, id| small.pages(group, id)),
            ("large-create-1", &mut |group, id| {
                large.create(group, id, &runtime, 1)
            }),
            ("small-create-1", &mut |group, id| {
                small.create(group, id, &runtime, 1)
            }),
            ("large-create-64", &mut |group, id| {
                large.create(group, id, &runtime, 64)
            }),
            ("small-create-64", &mut |group, id| {
                small.create(group, id, &runtime, 64)
            }),
        ],
    );
}

/// A file with many keys, and the operations to measure.
struct Filled {
    count: usize,
    bytes_per_key: f64,
    /// A library without a cache, so that each verification is a first verification.
    uncached: Keywright,
    keys: Keywright,
    callers: Arc<[Caller]>,
    tokens: Arc<[TokenBytes]>,
    /// Cursors, each with the index of its caller. Consecutive cursors belong to different
    /// workspaces.
    cursors: Vec<(usize, String)>,
    _folder: TempDir,
}

impl Filled {
    fn with(count: usize) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = folder.path().join("keys.db");
        let fill::Contents { callers, tokens } = fill::fill(&file, count);
        let bytes = fs::metadata(&file).unwrap().len();
        let store = Arc::new(SqliteStore::open(file).unwrap());
        let open = |cache| {
            let config = Config::new(issued::prefix())
                .with_scheme(Scheme::HmacSha256)
                .with_cache(cache)
                .with_cache_bytes(usize::MAX);
            block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap()
        };
        let mut filled = Self {
            count,
            bytes_per_key: bytes as f64 / count as f64,
            uncached: open(0),
            keys: open(100_000),
            callers: callers.into(),
            tokens: tokens.into(),
            cursors: Vec::new(),
            _folder: folder,
        };
        filled.collect_cursors();
        filled
    }

    /// Collects the cursors of all full pages except the first, of workspaces from all parts of the
    /// file.
    fn collect_cursors(&mut self) {
        let step = (self.callers.len() / LISTED).max(1);
        let callers: Vec<usize> = (0..self.callers.len()).step_by(step).collect();
        let mut positions = vec![ListStart::Offset(0); callers.len()];
        for _ in 1..fill::WORKSPACE / PAGE as usize {
            for (&caller, position) in callers.iter().zip(&mut positions) {
                let next = self.page(caller, position.clone()).next.unwrap();
                *position = ListStart::After(next.clone());
                self.cursors.push((caller, next));
            }
        }
    }

    fn page(&self, caller: usize, start: ListStart) -> Page {
        let mut wanted = ListKeys::new();
        wanted.limit = PAGE;
        wanted.start = start;
        let caller = self.callers.get(caller).unwrap();
        block_on(self.keys.issuer().list(caller, wanted)).unwrap()
    }

    fn pages(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut cursors = self.cursors.iter().cycle();
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let (caller, cursor) = cursors.next().unwrap();
                let listed = self.page(*caller, ListStart::After(cursor.clone()));
                assert_eq!(listed.keys.len(), 100, "a full page");
                listed
            });
        });
    }

    fn verify(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, runtime: &Runtime) {
        let work = |indices| issued::verify(&self.uncached, &self.tokens, indices);
        tasks::bench(group, id, runtime, 64, work);
    }

    fn create(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        runtime: &Runtime,
        callers: usize,
    ) {
        let work = |indices| create(self.keys.clone(), Arc::clone(&self.callers), indices);
        tasks::bench(group, id, runtime, callers, work);
    }
}

async fn create(keys: Keywright, callers: Arc<[Caller]>, indices: tasks::Indices) {
    let new = NewKey::new(Name::parse(fill::NAME).unwrap());
    for index in indices {
        let caller = callers.get(index % callers.len()).unwrap();
        keys.issuer().create(caller, new.clone()).await.unwrap();
    }
}
