//! Compares the map of the cache with alternatives. BENCHMARKS.md has the results in a separate
//! table, which explains the choice of the map.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

use std::{
    collections::VecDeque,
    hint::black_box,
    iter,
    sync::{Arc, Barrier, RwLock},
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode,
    measurement::{Measurement, WallTime},
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use keywright_benches::{run, runs_once};
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

fn main() {
    run(cache_map);
}

fn cache_map(criterion: &mut Criterion) {
    // One after another, so that only one map of a million keys is in memory.
    compare::<Papaya>(criterion, "papaya");
    compare::<QuickCache>(criterion, "quick-cache");
    compare::<Sharded>(criterion, "sharded");
    compare::<Snapshot>(criterion, "arc-swap");
}

/// A random id with the length of a key id.
type Id = [u8; 16];

/// A value with the size of a cache entry.
type Value = Arc<[u64; 24]>;

trait Map: Sync {
    fn new(entries: impl Iterator<Item = (Id, Value)>) -> Self;
    fn find(&self, id: &Id) -> Option<Value>;
    fn insert(&self, id: Id, value: Value);
    fn remove(&self, id: &Id);
}

fn compare<M: Map>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group("cache-map");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let few = Filled::<M>::with(1_000);
    few.bench(&mut group, BenchmarkId::new(name, "1000"));
    few.bench_on_two_threads(&mut group, BenchmarkId::new(name, "1000-two-threads"));
    drop(few);
    let many = Filled::<M>::with(if runs_once() { 2_000 } else { 1_000_000 });
    many.bench(&mut group, BenchmarkId::new(name, "1000000"));
    many.bench_on_two_threads(&mut group, BenchmarkId::new(name, "1000000-two-threads"));
    many.bench_insert(&mut group, BenchmarkId::new(name, "insert-into-1000000"));
    group.finish();
}

struct Filled<M> {
    map: M,
    /// The ids, in the order of the look-ups.
    ids: Vec<Id>,
}

impl<M: Map> Filled<M> {
    fn with(count: usize) -> Self {
        let mut ids: Vec<Id> = ids(1).take(count).collect();
        let map = M::new(ids.iter().map(|id| (*id, Value::default())));
        // The ids are random, so the sorted order differs from the order in memory.
        ids.sort_unstable();
        Self { map, ids }
    }

    fn bench(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut ids = self.ids.iter().cycle();
        group.bench_function(id, |bencher| {
            bencher.iter(|| self.map.find(ids.next().unwrap()).unwrap());
        });
    }

    /// Shares look-ups of the same keys between two threads, and measures the total time per
    /// look-up.
    fn bench_on_two_threads(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|finds| {
                let start = Barrier::new(2);
                let half = |from| {
                    let mut ids = self.ids.iter().cycle().skip(from);
                    start.wait();
                    let started = WallTime.start();
                    for _ in 0..finds.div_ceil(2) {
                        black_box(self.map.find(ids.next().unwrap()).unwrap());
                    }
                    WallTime.end(started)
                };
                thread::scope(|scope| {
                    let other = scope.spawn(|| half(self.ids.len() / 2));
                    half(0).max(other.join().unwrap())
                })
            });
        });
    }

    /// Inserts new keys and removes each a little later, as a full cache does.
    fn bench_insert(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut new = ids(2);
        let mut inserted = VecDeque::new();
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|inserts| {
                let mut time = Duration::ZERO;
                for _ in 0..inserts {
                    let id = new.next().unwrap();
                    let value = Value::default();
                    let started = WallTime.start();
                    self.map.insert(id, value);
                    time += WallTime.end(started);
                    inserted.push_back(id);
                    if inserted.len() > 1_000 {
                        self.map.remove(&inserted.pop_front().unwrap());
                    }
                }
                time
            });
        });
    }
}

fn ids(seed: u128) -> impl Iterator<Item = Id> {
    // Knuth's linear congruential generator with 128 bits, of which the upper half is sufficiently
    // random.
    let mut state = seed;
    let mut half = move || {
        state = state
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
        (state >> 64) << 64
    };
    iter::repeat_with(move || (half() | (half() >> 64)).to_be_bytes())
}

/// The map that the cache uses.
struct Papaya(papaya::HashMap<Id, Value, RandomState>);

impl Map for Papaya {
    fn new(entries: impl Iterator<Item = (Id, Value)>) -> Self {
        Self(entries.collect())
    }

    fn find(&self, id: &Id) -> Option<Value> {
        self.0.get(id, &self.0.guard()).map(Arc::clone)
    }

    fn insert(&self, id: Id, value: Value) {
        self.0.insert(id, value, &self.0.guard());
    }

    fn remove(&self, id: &Id) {
        self.0.remove(id, &self.0.guard());
    }
}

/// A cache that also evicts. The others need an additional data structure for that. Here it never
/// evicts.
struct QuickCache(Cache<Id, Value, UnitWeighter, RandomState>);

impl Map for QuickCache {
    fn new(entries: impl Iterator<Item = (Id, Value)>) -> Self {
        let entries: Vec<_> = entries.collect();
        let capacity = 2 * (entries.len() + 2_000);
        let cache = Cache::with(
            capacity,
            capacity as u64,
            UnitWeighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        for (id, value) in entries {
            cache.insert(id, value);
        }
        Self(cache)
    }

    fn find(&self, id: &Id) -> Option<Value> {
        self.0.get(id)
    }

    fn insert(&self, id: Id, value: Value) {
        self.0.insert(id, value);
    }

    fn remove(&self, id: &Id) {
        self.0.remove(id);
    }
}

const SHARDS: usize = 64;

/// Hash maps in 64 shards, each behind a lock.
struct Sharded([RwLock<HashMap<Id, Value, RandomState>>; SHARDS]);

impl Sharded {
    fn shard(&self, id: &Id) -> &RwLock<HashMap<Id, Value, RandomState>> {
        let [.., last] = id;
        self.0.get(usize::from(*last) % SHARDS).unwrap()
    }
}

impl Map for Sharded {
    fn new(entries: impl Iterator<Item = (Id, Value)>) -> Self {
        let map = Self([(); SHARDS].map(|()| RwLock::default()));
        for (id, value) in entries {
            map.insert(id, value);
        }
        map
    }

    fn find(&self, id: &Id) -> Option<Value> {
        self.shard(id).read().unwrap().get(id).map(Arc::clone)
    }

    fn insert(&self, id: Id, value: Value) {
        self.shard(&id).write().unwrap().insert(id, value);
    }

    fn remove(&self, id: &Id) {
        self.shard(id).write().unwrap().remove(id);
    }
}

/// An immutable map that each change replaces.
struct Snapshot(ArcSwap<HashMap<Id, Value, RandomState>>);

impl Map for Snapshot {
    fn new(entries: impl Iterator<Item = (Id, Value)>) -> Self {
        Self(ArcSwap::from_pointee(entries.collect()))
    }

    fn find(&self, id: &Id) -> Option<Value> {
        self.0.load().get(id).map(Arc::clone)
    }

    fn insert(&self, id: Id, value: Value) {
        self.0.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.insert(id, Arc::clone(&value));
            map
        });
    }

    fn remove(&self, id: &Id) {
        self.0.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.remove(id);
            map
        });
    }
}
