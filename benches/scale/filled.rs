//! Measures stores that contain many keys.

use std::sync::Arc;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{compare_in_turn, tasks};
use keywright_core::{
    Caller, Config, Keywright, ListKeys, ListStart, Name, NewKey, Page, Scheme, store::KeyStore,
};
use tokio::runtime::Runtime;

use super::minted::{self, Contents};
use crate::issued::{self, TokenBytes};

const PAGE: u32 = ListKeys::MAX_LIMIT;

/// The number of workspaces whose pages are read.
const LISTED: usize = 1_000;

/// Compares a store with many keys with one with few.
pub(crate) fn compare(
    criterion: &mut Criterion,
    row: &str,
    runtime: &Runtime,
    large: &Filled,
    small: &Filled,
) {
    compare_in_turn(
        criterion,
        row,
        &mut [
            ("large-verify", &mut |group, id| {
                large.verify(group, id, runtime)
            }),
            ("small-verify", &mut |group, id| {
                small.verify(group, id, runtime)
            }),
            ("large-page", &mut |group, id| large.pages(group, id)),
            ("small-page", &mut |group, id| small.pages(group, id)),
            ("large-create-1", &mut |group, id| {
                large.create(group, id, runtime, 1)
            }),
            ("small-create-1", &mut |group, id| {
                small.create(group, id, runtime, 1)
            }),
            ("large-create-64", &mut |group, id| {
                large.create(group, id, runtime, 64)
            }),
            ("small-create-64", &mut |group, id| {
                small.create(group, id, runtime, 64)
            }),
        ],
    );
}

/// A store with many keys, and the operations to measure.
pub(crate) struct Filled {
    /// A library without a cache, so that each verification is a first verification.
    uncached: Keywright,
    keys: Keywright,
    callers: Arc<[Caller]>,
    tokens: Arc<[TokenBytes]>,
    /// Cursors, each with the index of its caller. Consecutive cursors belong to different
    /// workspaces.
    cursors: Vec<(usize, String)>,
}

impl Filled {
    pub(crate) fn new(store: Arc<dyn KeyStore>, contents: Contents) -> Self {
        let Contents { callers, tokens } = contents;
        // As the first create does. A store whose prefix is not claimed verifies nothing.
        block_on(store.claim_prefix(&issued::prefix())).unwrap();
        let open = |cache| {
            let config = Config::new(issued::prefix())
                .with_scheme(Scheme::HmacSha256)
                .with_cache(cache)
                .with_cache_bytes(usize::MAX);
            block_on(Keywright::open(config, Arc::clone(&store))).unwrap()
        };
        let mut filled = Self {
            uncached: open(0),
            keys: open(100_000),
            callers: callers.into(),
            tokens: tokens.into(),
            cursors: Vec::new(),
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
        for _ in 1..minted::WORKSPACE / PAGE as usize {
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

    pub(crate) fn pages(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
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

    pub(crate) fn verify(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        runtime: &Runtime,
    ) {
        let work = |indices| issued::verify(&self.uncached, &self.tokens, indices);
        tasks::bench(group, id, runtime, 64, work);
    }

    pub(crate) fn create(
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
    let new = NewKey::new(Name::parse(minted::NAME).unwrap());
    for index in indices {
        let caller = callers.get(index % callers.len()).unwrap();
        keys.issuer().create(caller, new.clone()).await.unwrap();
    }
}
