//! Row 18: the cost of the feed of changes over PostgreSQL.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

#[path = "postgres/server.rs"]
mod server;

use std::{
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, WallTime},
};
use keywright_benches::{
    IDLE_CLIENT, IDLE_SERVER, compare_in_turn, processor_time, run, runs_once, store_number, tasks,
};
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Reach, Scheme, Workspace,
    store::KeyStore,
};
use keywright_store_postgres::PostgresStore;
use sqlx::{PgPool, Row as _};
use tokio::runtime::{Builder, Runtime};

const TASKS: usize = 64;

/// The number of stores that poll. Each stands for a process.
const POLLING: usize = 8;

/// The largest number of keys that are revoked together. They are created before the measurement.
const ROUND: u64 = 2048;

fn main() {
    run(feed);
}

fn feed(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let server = server::Server::start();
    let pool = runtime.block_on(server.pool());
    let store = runtime.block_on(server.store(&pool, "keywright"));
    idle(&runtime, &pool);
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let keys = runtime.block_on(Keywright::open(config, store)).unwrap();
    compare_in_turn(
        criterion,
        "feed",
        &mut [
            ("polling", &mut |group, id| {
                let polling =
                    (0..POLLING).map(|_| runtime.block_on(PostgresStore::new(pool.clone())));
                let polling: Vec<PostgresStore> = polling.map(Result::unwrap).collect();
                revokes(group, id, &runtime, &keys);
                drop(polling);
            }),
            ("none", &mut |group, id| revokes(group, id, &runtime, &keys)),
        ],
    );
}

/// Measures the time of a processor that an idle store takes, here and in the server.
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn idle(runtime: &Runtime, pool: &PgPool) {
    let poll = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_current_snapshot%'";
    let backend: i32 = loop {
        let polling = runtime.block_on(sqlx::query(poll).fetch_optional(pool));
        if let Some(row) = polling.unwrap() {
            break row.get("pid");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let backend = u32::try_from(backend).unwrap();
    let seconds = if runs_once() { 1 } else { 20 };
    let before = [process::id(), backend].map(processor_time);
    let start = Instant::now();
    thread::sleep(Duration::from_secs(seconds));
    let elapsed = start.elapsed();
    let after = [process::id(), backend].map(processor_time);
    for (index, file) in [(0, IDLE_CLIENT), (1, IDLE_SERVER)] {
        let share = (after[index] - before[index]).as_secs_f64() / elapsed.as_secs_f64();
        println!("{file}: {:.3} % of a core", share * 100.0);
        store_number(file, share);
    }
}

fn revokes(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    keys: &Keywright,
) {
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|mut count| {
            let mut total = Duration::ZERO;
            while count > 0 {
                let round = count.min(ROUND);
                count -= round;
                total += runtime.block_on(revoke_new(keys, usize::try_from(round).unwrap()));
            }
            total
        });
    });
}

/// Creates keys, revokes each of them alone, and returns how long the revocations took.
async fn revoke_new(keys: &Keywright, count: usize) -> Duration {
    let created = tasks::share(TASKS, count, |indices| {
        let keys = keys.clone();
        async move {
            let mut created = Vec::with_capacity(indices.len());
            for _ in indices {
                let new = NewKey::new(Name::parse("a name of 20 letters").unwrap());
                created.push(keys.issuer().create(&caller(), new).await.unwrap().key.id);
            }
            created
        }
    });
    let created: Arc<[_]> = created.await.concat().into();
    let start = WallTime.start();
    tasks::share(TASKS, count, |indices| {
        let (keys, created, caller) = (keys.clone(), Arc::clone(&created), caller());
        async move {
            for index in indices {
                let revoked = keys.issuer().revoke(&caller, &created[index], Reach::Key);
                revoked.await.unwrap();
            }
        }
    })
    .await;
    WallTime.end(start)
}

fn caller() -> Caller {
    let permissions: Permissions = "api_keys:write,calls:*".parse().unwrap();
    Caller::new(Workspace::parse("default").unwrap(), permissions)
}
