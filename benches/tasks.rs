//! What many callers do at once.

use criterion::{
    BenchmarkGroup, BenchmarkId, Throughput,
    measurement::{Measurement, WallTime},
};
use tokio::runtime::Runtime;

use crate::issued::{Places, among};

/// Measures the work of so many callers, by the rate of all of them.
pub(crate) fn bench<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    callers: usize,
    work: impl Fn(Places) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|count| {
            let count = usize::try_from(count).unwrap();
            runtime.block_on(async {
                let start = WallTime.start();
                among(callers, count, &work).await;
                WallTime.end(start)
            })
        });
    });
}
