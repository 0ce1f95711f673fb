//! Row 12: reading a page of keys, of the keys of an owner, and of events by cursor, in a large
//! workspace and in a small one.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::sync::Arc;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{compare_in_turn, run, runs_once, tasks};
use keywright_core::{
    Caller, Config, EventPage, Keywright, ListEvents, ListKeys, ListStart, Name, NewKey, Owner,
    Page, Permissions, Prefix, Scheme, Workspace,
};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const PAGE: u32 = ListKeys::MAX_LIMIT;

/// The number of owners, who create keys in turn.
const OWNERS: usize = 5;

fn main() {
    run(page);
}

fn page(criterion: &mut Criterion) {
    // A run that only checks that the benchmark works should not fill a file for half a minute.
    let large = if runs_once() { 10_000 } else { 1_000_000 };
    let runtime = Builder::new_multi_thread().build().unwrap();
    let large = Filled::with(large, &runtime);
    let small = Filled::with(1_000, &runtime);
    let cursors = &large.cursors;
    let [start, middle, end] =
        [0, cursors.len() / 2, cursors.len() - 1].map(|depth| cursors.get(depth).unwrap());
    compare_in_turn(
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
            ("owner-large", &mut |group, id| {
                large.bench(group, id, &scattered(&large.owner_cursors));
            }),
            ("owner-small", &mut |group, id| {
                small.bench(group, id, &scattered(&small.owner_cursors));
            }),
            ("events-large", &mut |group, id| {
                large.bench_events(group, id, &scattered(&large.event_cursors));
            }),
            ("events-small", &mut |group, id| {
                small.bench_events(group, id, &scattered(&small.event_cursors));
            }),
        ],
    );
}

/// Returns all cursors in an order in which consecutive cursors are far apart.
fn scattered<T>(cursors: &[T]) -> Vec<&T> {
    // A prime that does not divide the number of pages, so that every cursor is included.
    let stride = 6_173;
    (0..cursors.len())
        .map(|index| cursors.get(index * stride % cursors.len()).unwrap())
        .collect()
}

/// The position of a page: after a cursor, in a list of all keys or of those of an owner.
struct Position {
    owner: Option<Owner>,
    after: String,
}

/// A store with one workspace, and the positions of all its full pages except the first. Each key
/// has one event.
struct Filled {
    keys: Keywright,
    caller: Caller,
    cursors: Vec<Position>,
    owner_cursors: Vec<Position>,
    event_cursors: Vec<String>,
    _folder: TempDir,
}

impl Filled {
    fn with(count: usize, runtime: &Runtime) -> Self {
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
            owner_cursors: Vec::new(),
            event_cursors: Vec::new(),
            _folder: folder,
        };
        filled.cursors = filled.positions(None);
        filled.owner_cursors = (0..OWNERS)
            .flat_map(|number| filled.positions(Some(owner(number))))
            .collect();
        let mut next = filled.page_of_events(None).next;
        while let Some(cursor) = next {
            next = filled.page_of_events(Some(cursor.clone())).next;
            filled.event_cursors.push(cursor);
        }
        let pages = count / PAGE as usize;
        assert_eq!(filled.cursors.len(), pages - 1);
        assert_eq!(filled.owner_cursors.len(), pages - OWNERS);
        assert_eq!(filled.event_cursors.len(), pages - 1);
        filled
    }

    /// Returns the positions of all pages except the first.
    fn positions(&self, owner: Option<Owner>) -> Vec<Position> {
        let mut positions = Vec::new();
        let mut next = self.page(owner.clone(), ListStart::Offset(0)).next;
        while let Some(after) = next {
            next = self
                .page(owner.clone(), ListStart::After(after.clone()))
                .next;
            positions.push(Position {
                owner: owner.clone(),
                after,
            });
        }
        positions
    }

    fn bench(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        positions: &[&Position],
    ) {
        bench_pages(group, id, positions, |position| {
            let start = ListStart::After(position.after.clone());
            let listed = self.page(position.owner.clone(), start);
            assert_eq!(listed.keys.len(), 100, "a full page");
            listed
        });
    }

    fn bench_events(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        cursors: &[&String],
    ) {
        bench_pages(group, id, cursors, |cursor| {
            let listed = self.page_of_events(Some(cursor.clone()));
            assert_eq!(listed.events.len(), 100, "a full page");
            listed
        });
    }

    fn page_of_events(&self, after: Option<String>) -> EventPage {
        let mut wanted = ListEvents::new().with_limit(PAGE);
        wanted.after = after;
        block_on(self.keys.issuer().events(&self.caller, wanted)).unwrap()
    }

    fn page(&self, owner: Option<Owner>, start: ListStart) -> Page {
        let mut wanted = ListKeys::new();
        wanted.owner = owner;
        wanted.limit = PAGE;
        wanted.start = start;
        block_on(self.keys.issuer().list(&self.caller, wanted)).unwrap()
    }
}

fn owner(number: usize) -> Owner {
    Owner::parse(&format!("user:{number}")).unwrap()
}

/// Creates keys with many concurrent tasks, so that they share transactions.
fn create(keys: &Keywright, caller: &Caller, count: usize, runtime: &Runtime) {
    runtime.block_on(tasks::share(256, count, |indices| {
        let (keys, caller) = (keys.clone(), caller.clone());
        async move {
            let mut new = NewKey::new(Name::parse("a name of 20 letters").unwrap());
            new.permissions = Some("api_keys:write,calls:*".parse().unwrap());
            for index in indices {
                let caller = caller.clone().with_owner(owner(index % OWNERS));
                keys.issuer().create(&caller, new.clone()).await.unwrap();
            }
        }
    }));
}

/// Measures `read` with each of the positions in turn.
fn bench_pages<P, T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    positions: &[&P],
    read: impl Fn(&P) -> T,
) {
    let mut positions = positions.iter().cycle();
    group.bench_function(id, |bencher| {
        bencher.iter(|| read(positions.next().unwrap()));
    });
}
