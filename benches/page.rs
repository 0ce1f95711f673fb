//! Row 12: a page by cursor, in a large workspace and in a small one.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

use std::sync::Arc;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{in_turn, run, runs_once};
use keywright_core::{
    Caller, Config, Keywright, ListKeys, ListStart, Name, NewKey, Page, Permissions, Prefix,
    Scheme, Workspace,
};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const PAGE: u32 = ListKeys::MAX_LIMIT;

fn main() {
    run(page);
}

fn page(criterion: &mut Criterion) {
    // A run that only shows that the bench works is not to fill a file for half a minute.
    let large = if runs_once() { 10_000 } else { 1_000_000 };
    let runtime = Builder::new_multi_thread().build().unwrap();
    let large = Filled::with(large, &runtime);
    let small = Filled::with(1_000, &runtime);
    let cursors = &large.cursors;
    let [start, middle, end] =
        [0, cursors.len() / 2, cursors.len() - 1].map(|depth| cursors.get(depth).unwrap());
    in_turn(
        criterion,
        "page",
        &mut [
            ("large-start", &mut |group, id| {
                large.bench(group, id, &[start]);
            }),
            ("large-middle", &mut |group, id| {
                large.bench(group, id, &[middle]);
            }),
            ("large-end", &mut |group, id| large.bench(group, id, &[end])),
            ("large", &mut |group, id| {
                large.bench(group, id, &scattered(cursors));
            }),
            ("small", &mut |group, id| {
                small.bench(group, id, &scattered(&small.cursors));
            }),
        ],
    );
}

/// All of them, in an order in which neighbours are far apart.
fn scattered(cursors: &[String]) -> Vec<&String> {
    // A prime that divides no number of pages here, so that none is left out.
    let stride = 6_173;
    (0..cursors.len())
        .map(|place| cursors.get(place * stride % cursors.len()).unwrap())
        .collect()
}

/// A store with one workspace, and the cursors of all its pages that are full but the first.
struct Filled {
    keys: Keywright,
    caller: Caller,
    cursors: Vec<String>,
    _folder: TempDir,
}

impl Filled {
    fn with(count: u64, runtime: &Runtime) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
        let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
        let keys = block_on(Keywright::open(config, Arc::new(store))).unwrap();
        let caller = Caller::new(Workspace::parse("default").unwrap(), Permissions::all());
        create(&keys, &caller, count, runtime);
        let mut filled = Self {
            keys,
            caller,
            cursors: Vec::new(),
            _folder: folder,
        };
        let mut next = filled.page(ListStart::Offset(0)).next;
        while let Some(cursor) = next {
            next = filled.page(ListStart::After(cursor.clone())).next;
            filled.cursors.push(cursor);
        }
        assert_eq!(filled.cursors.len() as u64, count / u64::from(PAGE) - 1);
        filled
    }

    fn bench(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        cursors: &[&String],
    ) {
        let mut cursors = cursors.iter().copied().cycle();
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let cursor = cursors.next().unwrap().clone();
                let listed = self.page(ListStart::After(cursor));
                assert_eq!(listed.keys.len(), 100, "a full page");
                listed
            });
        });
    }

    fn page(&self, start: ListStart) -> Page {
        let mut wanted = ListKeys::new();
        wanted.limit = PAGE;
        wanted.start = start;
        block_on(self.keys.issuer().list(&self.caller, wanted)).unwrap()
    }
}

/// Many callers create at a time, so that they share transactions.
fn create(keys: &Keywright, caller: &Caller, count: u64, runtime: &Runtime) {
    let callers = 256;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|one| count / callers + u64::from(one < count % callers))
            .map(|share| {
                let (keys, caller) = (keys.clone(), caller.clone());
                tokio::spawn(async move {
                    let new = NewKey::new(Name::parse("a name of 20 letters").unwrap())
                        .with_permissions("api_keys:write,calls:*".parse().unwrap());
                    for _ in 0..share {
                        keys.issuer().create(&caller, new.clone()).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
