//! Shares work between concurrent tasks, and measures it.

use std::{iter::StepBy, ops::Range};

use criterion::{
    BenchmarkGroup, BenchmarkId, Throughput,
    measurement::{Measurement, WallTime},
};
use tokio::runtime::Runtime;

/// One task's share of the indices.
pub type Indices = StepBy<Range<usize>>;

/// Shares the indices below `count` between this many tasks, and returns the outputs of the tasks.
///
/// # Panics
///
/// If a task panics.
pub async fn share<F>(tasks: usize, count: usize, work: impl Fn(Indices) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let spawned: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(work((task..count).step_by(tasks))))
        .collect();
    let mut outputs = Vec::with_capacity(tasks);
    for task in spawned {
        outputs.push(task.await.expect("no task panics"));
    }
    outputs
}

/// Measures the total rate of this many tasks that share the work.
///
/// # Panics
///
/// If a task panics.
pub fn bench<F>(
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
            let count = usize::try_from(count).expect("a 64-bit system");
            runtime.block_on(async {
                let start = WallTime.start();
                share(tasks, count, &work).await;
                WallTime.end(start)
            })
        });
    });
}
