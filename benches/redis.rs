//! Rows 8 and 9: first verifications and creates over Redis, with 64 tasks.
//!
//! A profile of the client shows (callgrind and a counting allocator, without SHA-256, which
//! Valgrind runs in software):
//!
//! * A first verification makes 21 allocations of 4.1 KB in total, and the reference 16 of 2.2 KB.
//!   The largest part is decoding the record, with 9,500 instructions: 4,200 for the text of the
//!   hash and 2,600 for the permissions. Filling the cache takes 3,600.
//! * A create makes 95 allocations of 16 KB in total, and the reference 24 of 4.7 KB. It takes
//!   about 89,000 instructions: 11,000 for the JSON of the event and 6,400 for encoding the record.
//!   So the client bounds the row, and not the server.
//!
//! A verifier writes the last uses of its keys every second, and when it is dropped. A round of
//! verifications takes less than a second, and the drop is not measured.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

#[path = "redis/server.rs"]
mod server;

use std::{
    hint::black_box,
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
use hmac::{Hmac, KeyInit, Mac};
use keywright_benches::{compare_in_turn, run, tasks};
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Workspace,
    store::KeyStore,
};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::{Commands, Script, aio::MultiplexedConnection, cmd};
use serde::Deserialize;
use sha2::Sha256;
use tokio::runtime::Runtime;

const TASKS: usize = 64;
/// The number of keys. After each key was verified once, a new verifier with an empty cache
/// replaces the old one.
const KEYS: u64 = 4096;
const NAME: &str = "a name of 20 letters";
const PERMISSIONS: &str = "api_keys:write,calls:*";

/// The writes of a create: a record and its entry in an index, and an event and its entries in two
/// indexes.
const CREATE: &str = "
    redis.call('ZADD', KEYS[1], 0, ARGV[1])
    redis.call('ZADD', KEYS[2], 0, ARGV[1])
    redis.call('ZADD', KEYS[3], 0, ARGV[1])
    redis.call('SET', KEYS[4], ARGV[3])
    return redis.call('SET', KEYS[5], ARGV[2], 'NX')";

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
    let names: Vec<String> = plain.keys("kw:r:*").unwrap();
    let record: Vec<u8> = plain.get(&names[0]).unwrap();
    let names: Vec<String> = plain.keys("kw:l:*").unwrap();
    let event: Vec<u8> = plain.get(&names[0]).unwrap();
    let mac = Arc::new(Hmac::<Sha256>::new_from_slice(b"keywright").unwrap());
    let decodable = encoded();
    let names: Arc<Vec<[String; 2]>> = Arc::new(
        (0..KEYS)
            .map(|number| {
                [
                    format!("reference:{number}"),
                    format!("reference:u:{number}"),
                ]
            })
            .collect(),
    );
    for [name, _] in &*names {
        let _: () = plain.set(name, &decodable).unwrap();
    }

    compare_in_turn(
        criterion,
        "redis-verification",
        &mut [
            ("keywright", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let keys = open(&runtime, &store);
                    let tokens = Arc::clone(&tokens);
                    move |index| {
                        let (keys, tokens) = (keys.clone(), Arc::clone(&tokens));
                        async move {
                            let token = &tokens[index];
                            keys.verifier().verify(token).await.unwrap();
                        }
                    }
                });
            }),
            ("redis-rs", &mut |group, id| {
                bench(group, id, &runtime, || {
                    let (connection, names) = (connection.clone(), Arc::clone(&names));
                    let mac = Arc::clone(&mac);
                    move |index| {
                        get(
                            connection.clone(),
                            Arc::clone(&names),
                            Arc::clone(&mac),
                            index,
                        )
                    }
                });
            }),
        ],
    );

    let script = Arc::new(Script::new(CREATE));
    let created = Arc::new(AtomicU64::new(0));
    compare_in_turn(
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
                    let created = Arc::clone(&created);
                    let (record, event) = (record.clone(), event.clone());
                    let mac = Arc::clone(&mac);
                    move |_| {
                        let number = created.fetch_add(1, Ordering::Relaxed);
                        let (connection, script) = (connection.clone(), Arc::clone(&script));
                        let values = [record.clone(), event.clone()];
                        let mac = Arc::clone(&mac);
                        async move {
                            black_box(hash(&mac, &number.to_be_bytes()));
                            eval(connection, script, number, values).await;
                        }
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

/// The fields of a record, as a user would decode them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "a user would read them")]
struct Decoded {
    id: String,
    workspace: String,
    name: String,
    permissions: Vec<String>,
    hash: String,
    tag: [u8; 16],
}

/// Returns the record that the reference reads, as long as ours.
fn encoded() -> String {
    let permissions: Vec<_> = PERMISSIONS.split(',').collect();
    serde_json::json!({
        "id": "key_0U5lKtf600000000",
        "workspace": "default",
        "name": NAME,
        "permissions": permissions,
        "hash": "A".repeat(80),
        "tag": vec![0; 16],
    })
    .to_string()
}

async fn get(
    mut connection: MultiplexedConnection,
    names: Arc<Vec<[String; 2]>>,
    mac: Arc<Hmac<Sha256>>,
    index: usize,
) {
    let mut get = cmd("MGET");
    get.arg(&names[index]);
    let (record, last_used): (Vec<u8>, Option<Vec<u8>>) =
        get.query_async(&mut connection).await.unwrap();
    assert!(last_used.is_none());
    let record: Decoded = serde_json::from_slice(&record).unwrap();
    black_box(hash(&mac, record.id.as_bytes()));
    black_box(record);
}

/// Returns an HMAC of as much as the hash of a key takes.
fn hash(mac: &Hmac<Sha256>, id: &[u8]) -> [u8; 32] {
    let mac = mac.clone().chain_update(id).chain_update([0; 72]);
    mac.finalize().into_bytes().into()
}

async fn eval(
    mut connection: MultiplexedConnection,
    script: Arc<Script>,
    number: u64,
    [record, event]: [Vec<u8>; 2],
) {
    let id = format!("{number:016}");
    let done: bool = script
        .key("reference:index")
        .key("reference:events")
        .key(format!("reference:events:{id}"))
        .key(format!("reference:event:{id}"))
        .key(format!("reference:{id}"))
        .arg(id)
        .arg(record)
        .arg(event)
        .invoke_async(&mut connection)
        .await
        .unwrap();
    assert!(done);
}

/// Shares the work between the tasks. `prepare` is not measured. It returns a function that does
/// the work for an index below [`KEYS`].
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
            let mut total = Duration::ZERO;
            while count > 0 {
                let round = count.min(KEYS);
                count -= round;
                let work = prepare();
                total += runtime.block_on(measure(usize::try_from(round).unwrap(), work));
            }
            total
        });
    });
}

async fn measure<W, F>(count: usize, work: W) -> Duration
where
    W: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let start = WallTime.start();
    tasks::share(TASKS, count, |indices| {
        let work = work.clone();
        async move {
            for index in indices {
                work(index).await;
            }
        }
    })
    .await;
    WallTime.end(start)
}
