//! Row 17: creating and revoking keys with an event for each change, and without events.
//!
//! An event is a second record, with an index by workspace and one by key, so the ratio is that of
//! two rows to one. `durable_create.rs` has the instructions and the pages of SQLite, and
//! `redis.rs` the instructions of the client, of which the JSON of an event takes an eighth. With
//! an event, a revocation over Redis has a second step: the index of the workspace may be on
//! another server than the key, so the event is added to it first.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

#[path = "postgres/server.rs"]
mod postgres_server;
#[path = "redis/server.rs"]
mod server;

use std::{sync::Arc, time::Duration};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, WallTime},
};
use keywright_benches::{compare_in_turn, run, tasks};
use keywright_core::{
    Caller, Config, Issuer, KeyId, Keywright, Name, NewKey, Permissions, Prefix, Reach, Scheme,
    Workspace, store::KeyStore,
};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const TASKS: usize = 64;

/// The largest number of keys that are revoked together. They are created before the measurement.
const ROUND: u64 = 4096;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn main() {
    run(events);
}

fn events(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let server = server::Server::start();
    let connect = || {
        let config = RedisConfig::new(server.url());
        let store = runtime.block_on(RedisStore::connect(config)).unwrap();
        Arc::new(store) as Arc<dyn KeyStore>
    };
    // On the disk of the target folder. On many machines `/tmp` is in memory, where syncs are free.
    let folders = [(); 2].map(|()| TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let file = |folder: &TempDir| {
        let store = SqliteStore::open(folder.path().join("keys.db")).unwrap();
        Arc::new(store) as Arc<dyn KeyStore>
    };
    let [with, without] = [(&folders[0], DAY), (&folders[1], Duration::ZERO)]
        .map(|(folder, retention)| open(&runtime, file(folder), retention));
    compare(criterion, "events-sqlite", &runtime, &with, &without);
    let [with, without] =
        [DAY, Duration::ZERO].map(|retention| open(&runtime, connect(), retention));
    compare(criterion, "events-redis", &runtime, &with, &without);
    let server = postgres_server::Server::start();
    let pool = runtime.block_on(server.pool());
    let [with, without] =
        [("events", DAY), ("no_events", Duration::ZERO)].map(|(schema, retention)| {
            let store = runtime.block_on(server.store(&pool, schema));
            open(&runtime, Arc::new(store), retention)
        });
    compare(criterion, "events-postgres", &runtime, &with, &without);
}

/// Compares a library that writes events with one that does not.
fn compare(
    criterion: &mut Criterion,
    group: &str,
    runtime: &Runtime,
    with: &Keywright,
    without: &Keywright,
) {
    compare_in_turn(
        criterion,
        group,
        &mut [
            ("create", &mut |group, id| creates(group, id, runtime, with)),
            ("create-without", &mut |group, id| {
                creates(group, id, runtime, without);
            }),
            ("revoke", &mut |group, id| revokes(group, id, runtime, with)),
            ("revoke-without", &mut |group, id| {
                revokes(group, id, runtime, without);
            }),
        ],
    );
}

fn open(runtime: &Runtime, store: Arc<dyn KeyStore>, retention: Duration) -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_event_retention(retention);
    runtime.block_on(Keywright::open(config, store)).unwrap()
}

fn creates(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    keys: &Keywright,
) {
    tasks::bench(group, id, runtime, TASKS, |indices| {
        let keys = keys.clone();
        async move {
            for _ in indices {
                create(keys.issuer()).await;
            }
        }
    });
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
                let created = runtime.block_on(create_many(keys, usize::try_from(round).unwrap()));
                total += runtime.block_on(revoke_all(keys, created.into()));
            }
            total
        });
    });
}

async fn create_many(keys: &Keywright, count: usize) -> Vec<KeyId> {
    let created = tasks::share(TASKS, count, |indices| {
        let keys = keys.clone();
        async move {
            let mut created = Vec::with_capacity(indices.len());
            for _ in indices {
                created.push(create(keys.issuer()).await);
            }
            created
        }
    });
    created.await.concat()
}

/// Revokes each of these keys alone, and returns how long that took.
async fn revoke_all(keys: &Keywright, ids: Arc<[KeyId]>) -> Duration {
    let start = WallTime.start();
    tasks::share(TASKS, ids.len(), |indices| {
        let (keys, ids, caller) = (keys.clone(), Arc::clone(&ids), caller());
        async move {
            for index in indices {
                let revoked = keys.issuer().revoke(&caller, &ids[index], Reach::Key);
                revoked.await.unwrap();
            }
        }
    })
    .await;
    WallTime.end(start)
}

async fn create(issuer: &Issuer) -> KeyId {
    let new = NewKey::new(Name::parse("a name of 20 letters").unwrap());
    issuer.create(&caller(), new).await.unwrap().key.id
}

fn caller() -> Caller {
    let permissions: Permissions = "api_keys:write,calls:*".parse().unwrap();
    Caller::new(Workspace::parse("default").unwrap(), permissions)
}
