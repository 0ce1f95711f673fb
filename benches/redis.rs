//! Rows 8 and 9: first verifications and creations over Redis, by 64 tasks.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench that cannot run must stop"
)]

#[path = "redis/server.rs"]
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, WallTime},
};
use keywright_benches::{in_turn, run};
use keywright_core::{
    Caller, Config, KeyStore, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Workspace,
};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::{Commands, Script, aio::MultiplexedConnection, cmd};
use tokio::runtime::Runtime;

const TASKS: usize = 64;
/// Keys that are verified once, before a verifier takes over that has seen none of them.
const KEYS: u64 = 4096;
const NAME: &str = "a name of 20 letters";
const PERMISSIONS: &str = "api_keys:write,calls:*";

/// The writes of a creation: an entry of a list, and a record under a name that is new.
const CREATE: &str = "
    redis.call('ZADD', KEYS[1], 0, ARGV[1])
    return redis.call('SET', KEYS[2], ARGV[2], 'NX')";

fn main() {
    run(over_redis);
}

fn over_redis(criterion: &mut Criterion) {
    let server = server::Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = RedisConfig::new(server.url());
    let store = runtime.block_on(RedisStore::connect(config)).unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let keys = open(&runtime, &store);
    let tokens: Arc<Vec<Vec<u8>>> = Arc::new(
        (0..KEYS)
            .map(|_| {
                let issued = runtime.block_on(keys.issuer().create(&caller(), new_key()));
                issued.unwrap().token.expose().as_bytes().to_vec()
            })
            .collect(),
    );
    let client = redis::Client::open(server.url()).unwrap();
    let connection = runtime
        .block_on(client.get_multiplexed_async_connection())
        .unwrap();
    let mut plain = client.get_connection().unwrap();
    let names: Arc<Vec<String>> = Arc::new(plain.keys("kw:r:*").unwrap());
    let record: Vec<u8> = plain.get(&names[0]).unwrap();

    in_turn(
        criterion,
        "redis-verification",
        &mut [
            ("keywright", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let keys = open(&runtime, &store);
                    let tokens = Arc::clone(&tokens);
                    move |place| {
                        let (keys, tokens) = (keys.clone(), Arc::clone(&tokens));
                        async move {
                            let token = &tokens[place];
                            keys.verifier().verify(token).await.unwrap();
                        }
                    }
                });
            }),
            ("redis-rs", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let (connection, names) = (connection.clone(), Arc::clone(&names));
                    move |place| get(connection.clone(), Arc::clone(&names), place)
                });
            }),
        ],
    );

    let script = Arc::new(Script::new(CREATE));
    let created = Arc::new(AtomicU64::new(0));
    in_turn(
        criterion,
        "redis-create",
        &mut [
            ("keywright", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let keys = keys.clone();
                    move |_| {
                        let keys = keys.clone();
                        async move {
                            let issued = keys.issuer().create(&caller(), new_key()).await;
                            drop(issued.unwrap());
                        }
                    }
                });
            }),
            ("redis-rs", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let (connection, script) = (connection.clone(), Arc::clone(&script));
                    let (created, record) = (Arc::clone(&created), record.clone());
                    move |_| {
                        let number = created.fetch_add(1, Ordering::Relaxed);
                        eval(
                            connection.clone(),
                            Arc::clone(&script),
                            number,
                            record.clone(),
                        )
                    }
                });
            }),
        ],
    );
}

fn open(runtime: &Runtime, store: &Arc<dyn KeyStore>) -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    runtime
        .block_on(Keywright::open(config, Arc::clone(store)))
        .unwrap()
}

fn caller() -> Caller {
    let permissions: Permissions = PERMISSIONS.parse().unwrap();
    Caller::new(Workspace::parse("default").unwrap(), permissions)
}

fn new_key() -> NewKey {
    NewKey::new(Name::parse(NAME).unwrap())
}

async fn get(mut connection: MultiplexedConnection, names: Arc<Vec<String>>, place: usize) {
    let mut get = cmd("GET");
    get.arg(&names[place]);
    let record: Vec<u8> = get.query_async(&mut connection).await.unwrap();
    assert!(!record.is_empty());
}

async fn eval(
    mut connection: MultiplexedConnection,
    script: Arc<Script>,
    number: u64,
    record: Vec<u8>,
) {
    let id = format!("{number:016}");
    let done: bool = script
        .key("reference:index")
        .key(format!("reference:{id}"))
        .arg(id)
        .arg(record)
        .invoke_async(&mut connection)
        .await
        .unwrap();
    assert!(done);
}

/// The tasks share the work among them, each waiting for its own answers. `prepare` is not measured; it
/// makes what is done with each of the first so many places.
fn bench<W, F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    runtime: &Runtime,
    prepare: impl Fn() -> W,
) where
    W: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|mut count| {
            let mut took = Duration::ZERO;
            while count > 0 {
                let now = count.min(KEYS);
                count -= now;
                let work = prepare();
                took += runtime.block_on(share(usize::try_from(now).unwrap(), work));
            }
            took
        });
    });
}

async fn share<W, F>(count: usize, work: W) -> Duration
where
    W: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let start = WallTime.start();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let work = work.clone();
            tokio::spawn(async move {
                for place in (task..count).step_by(TASKS) {
                    work(place).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    WallTime.end(start)
}
