//! Measures the work of many concurrent tasks.

use criterion::{
    BenchmarkGroup, BenchmarkId, Throughput,
    measurement::{Measurement, WallTime},
};
use tokio::runtime::Runtime;

use crate::issued::{Indices, share};

/// Measures the total rate of this many tasks that share the work.
pub(crate) fn bench<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    tasks: usize,
    work: impl Fn(Indices) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|count| {
            let count = usize::try_from(count).unwrap();
            runtime.block_on(async {
                let start = WallTime.start();
                share(tasks, count, &work).await;
                WallTime.end(start)
            })
        });
    });
}
