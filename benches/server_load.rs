//! The processor time and the space that each store takes for each operation. They are the
//! constants of `SCALING.md`.
//!
//! This measures the time that the processes of a database server run on a processor, and not how
//! long callers wait, so other programs on the machine change the results little. SQLite has no
//! server: its times are those of the whole process, which include the library.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod issued;
#[path = "postgres/server.rs"]
mod postgres_server;
#[path = "redis/server.rs"]
mod redis_server;

use std::{
    cell::Cell,
    fs, process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keywright_benches::{load, processor_time, runs_once, store_number, tasks};
use keywright_core::{Config, KeyId, Keywright, Reach, Scheme, Timestamp, store::KeyStore};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use redis::{Client, cmd};
use rusqlite::Connection;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The number of keys that are created together.
const KEYS: usize = 20_000;

/// The number of operations that follow each other.
const ALONE: usize = 2_000;

const CONCURRENT: usize = 64;

/// The number of further stores that follow the changes. Each stands for a process.
const FOLLOWERS: u32 = 50;

const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

fn main() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    sqlite(&runtime);
    redis(&runtime);
    postgres(&runtime);
}

fn sqlite(runtime: &Runtime) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("keys.db");
    Subject {
        store: load::SQLITE,
        runtime,
        processes: &|| vec![process::id()],
        open: &|| Arc::new(SqliteStore::open(&file).unwrap()),
        size: &|| {
            let database = Connection::open(&file).unwrap();
            let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            database.query_row(sql, [], |row| row.get(0)).unwrap()
        },
        idle: Cell::new(0.0),
    }
    .measure();
}

fn redis(runtime: &Runtime) {
    let server = redis_server::Server::start();
    let info = |name: &str| -> u32 {
        let mut connection = Client::open(server.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let info: String = cmd("INFO").query(&mut connection).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(':').parse().unwrap()
    };
    let process = info("process_id");
    Subject {
        store: load::REDIS,
        runtime,
        // Without the child that rewrites the append-only file now and then.
        processes: &|| vec![process],
        open: &|| {
            let store = RedisStore::connect(RedisConfig::new(server.url()));
            Arc::new(runtime.block_on(store).unwrap())
        },
        size: &|| info("used_memory").into(),
        idle: Cell::new(0.0),
    }
    .measure();
}

fn postgres(runtime: &Runtime) {
    let server = postgres_server::Server::start();
    let pool = runtime.block_on(server.pool());
    let row = |sql| runtime.block_on(sqlx::query(sql).fetch_one(&pool)).unwrap();
    let postmaster: i32 =
        row("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int4").get(0);
    Subject {
        store: load::POSTGRES,
        runtime,
        processes: &|| {
            let children = format!("/proc/{postmaster}/task/{postmaster}/children");
            let children = fs::read_to_string(children).unwrap();
            let children = children.split_whitespace().map(|id| id.parse().unwrap());
            children.chain([postmaster.try_into().unwrap()]).collect()
        },
        open: &|| Arc::new(runtime.block_on(server.store(&pool, "keywright"))),
        size: &|| row("SELECT pg_database_size(current_database())::float8").get(0),
        idle: Cell::new(0.0),
    }
    .measure();
}

/// A store to measure.
struct Subject<'a> {
    store: &'static str,
    runtime: &'a Runtime,
    /// Returns the processes of the server.
    processes: &'a dyn Fn() -> Vec<u32>,
    open: &'a dyn Fn() -> Arc<dyn KeyStore>,
    /// Returns the bytes that the store takes.
    size: &'a dyn Fn() -> f64,
    /// The nanoseconds of a processor that the server takes in a second without work.
    idle: Cell<f64>,
}

impl Subject<'_> {
    fn measure(&self) {
        let [count, alone] = if runs_once() { [128, 4] } else { [KEYS, ALONE] };
        let store = (self.open)();
        let [with_events, without] =
            [RETENTION, Duration::ZERO].map(|retention| self.library(&store, retention));
        // The first create also prepares the store.
        self.create(&without, CONCURRENT, CONCURRENT);
        self.idle.set(self.measure_idle());

        let empty = (self.size)();
        self.create(&without, CONCURRENT, count);
        let keys = (self.size)();
        let (ids, among) = self.create(&with_events, CONCURRENT, count);
        let both = (self.size)();
        let bytes_of_key = (keys - empty) / count as f64;
        self.store(load::KEY_BYTES, bytes_of_key);
        self.store(
            load::EVENT_BYTES,
            (both - keys) / count as f64 - bytes_of_key,
        );

        let (_, single) = self.create(&with_events, 1, alone);
        self.store_times(load::CREATE, single / alone as f64, among / count as f64);
        let single = self.read(&store, &ids, 1, alone);
        let among = self.read(&store, &ids, CONCURRENT, count);
        self.store_times(load::READ, single / alone as f64, among / count as f64);
        let touched = self.touch(&store, &ids);
        self.store(load::LAST_USE, touched / count as f64);

        // Each key is revoked once.
        let (first, rest) = ids.split_at(alone);
        let (second, rest) = rest.split_at(alone);
        let (single, _) = self.revoke(&with_events, 1, first);
        let (among, _) = self.revoke(&with_events, CONCURRENT, rest);
        self.store_times(
            load::REVOKE,
            single / alone as f64,
            among / rest.len() as f64,
        );

        let followers: Vec<_> = (0..FOLLOWERS).map(|_| (self.open)()).collect();
        let following = (self.measure_idle() - self.idle.get()) / f64::from(FOLLOWERS);
        self.store(load::FOLLOW, following);
        let (followed, seconds) = self.revoke(&with_events, 1, second);
        drop(followers);
        let reported = (followed - single) / f64::from(FOLLOWERS) - following * seconds;
        self.store(load::REPORT, reported.max(0.0) / alone as f64);
    }

    /// Stores the time of an operation alone, and among 64 concurrent ones.
    fn store_times(&self, [alone, among]: [&str; 2], single: f64, concurrent: f64) {
        self.store(alone, single);
        self.store(among, concurrent);
    }

    fn store(&self, constant: &str, number: f64) {
        println!("{} {constant}: {number:.1}", self.store);
        store_number(&load::file(self.store, constant), number);
    }

    fn library(&self, store: &Arc<dyn KeyStore>, retention: Duration) -> Keywright {
        let config = Config::new(issued::prefix())
            .with_scheme(Scheme::HmacSha256)
            .with_event_retention(retention);
        let opened = Keywright::open(config, Arc::clone(store));
        self.runtime.block_on(opened).unwrap()
    }

    /// Runs tasks that share this much work. Returns their outputs, the nanoseconds of a processor
    /// that the work takes, and the seconds that passed.
    #[expect(clippy::disallowed_methods, reason = "measures time")]
    fn run<F>(
        &self,
        tasks: usize,
        count: usize,
        work: impl Fn(tasks::Indices) -> F,
    ) -> (Vec<F::Output>, f64, f64)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (before, start) = (self.processor_time(), Instant::now());
        let outputs = self.runtime.block_on(tasks::share(tasks, count, work));
        let used = nanos(self.processor_time() - before);
        let seconds = start.elapsed().as_secs_f64();
        (outputs, used - self.idle.get() * seconds, seconds)
    }

    /// Returns the time that the server has run on a processor.
    fn processor_time(&self) -> Duration {
        (self.processes)().into_iter().map(processor_time).sum()
    }

    /// Returns the nanoseconds of a processor that the server takes in a second without work.
    #[expect(clippy::disallowed_methods, reason = "measures time")]
    fn measure_idle(&self) -> f64 {
        let seconds = if runs_once() { 0 } else { 10 };
        // New stores connect, and the server finishes earlier work.
        thread::sleep(Duration::from_secs(seconds / 5));
        let (before, start) = (self.processor_time(), Instant::now());
        thread::sleep(Duration::from_secs(seconds));
        nanos(self.processor_time() - before) / start.elapsed().as_secs_f64()
    }

    fn create(&self, keys: &Keywright, tasks: usize, count: usize) -> (Vec<KeyId>, f64) {
        let (created, nanos, _) = self.run(tasks, count, |indices| {
            let keys = keys.clone();
            async move {
                let mut created = Vec::with_capacity(indices.len());
                for _ in indices {
                    let operator = issued::operator();
                    let issued = keys.issuer().create(&operator, issued::new_key()).await;
                    created.push(issued.unwrap().key.id);
                }
                created
            }
        });
        (created.concat(), nanos)
    }

    fn read(&self, store: &Arc<dyn KeyStore>, ids: &[KeyId], tasks: usize, count: usize) -> f64 {
        let (_, nanos, _) = self.run(tasks, count, |indices| {
            let (store, ids) = (Arc::clone(store), ids.to_vec());
            async move {
                for index in indices {
                    let id = ids.get(index).unwrap();
                    store.find(id).await.unwrap().unwrap();
                }
            }
        });
        nanos
    }

    /// Writes the last use of each key, as many in one call as the library does.
    fn touch(&self, store: &Arc<dyn KeyStore>, ids: &[KeyId]) -> f64 {
        let used_at = Timestamp::from_millis(2_000_000_000_000).unwrap();
        let uses: Vec<_> = ids.iter().map(|id| (*id, used_at)).collect();
        let (_, nanos, _) = self.run(1, 1, |_| {
            let (store, uses) = (Arc::clone(store), uses.clone());
            async move {
                for batch in uses.chunks(512) {
                    store.touch(batch).await.unwrap();
                }
            }
        });
        nanos
    }

    /// Revokes each of these keys. Also returns the seconds that passed.
    fn revoke(&self, keys: &Keywright, tasks: usize, ids: &[KeyId]) -> (f64, f64) {
        let (_, nanos, seconds) = self.run(tasks, ids.len(), |indices| {
            let (keys, ids) = (keys.clone(), ids.to_vec());
            async move {
                for index in indices {
                    let (operator, id) = (issued::operator(), ids.get(index).unwrap());
                    let revoked = keys.issuer().revoke(&operator, id, Reach::Key).await;
                    revoked.unwrap();
                }
            }
        });
        (nanos, seconds)
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
