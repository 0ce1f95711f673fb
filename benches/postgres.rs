//! Rows 15 and 16: first verifications and creates over PostgreSQL.
//!
//! The store sends unnamed statements without parameters, so that a pooler may use any connection
//! for each transaction, and the server parses and plans each of them. The reference prepares its
//! statement once. With one task, according to `perf`, the server takes 171 µs for a verification,
//! and 64 µs for the `SELECT` of the reference. That is most of the difference of 135 µs. For a
//! create it takes 404 µs, and 139 µs for the `INSERT` of the reference, which has no event and no
//! index but the primary key. The cores are idle for two thirds of the time.
//!
//! With 64 tasks, the server takes 45 % of the samples of a create, the process with the tasks
//! 20 %, and the cores are idle for 32 %: each of the two workers waits for a disk or for the
//! server.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod issued;
#[path = "postgres/server.rs"]
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use keywright_benches::{
    compare_in_turn, run, runs_once,
    tasks::{self, Indices},
};
use keywright_core::{Config, Keywright, Scheme, TokenRef};
use keywright_store_postgres::PostgresStore;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use tokio::runtime::{Builder, Runtime};

use self::issued::TokenBytes;

/// All columns, as the store reads them.
const SELECT: &str = "SELECT id, workspace, test, owner, name, permissions, enabled, allowed_ips, \
     parent, successor, predecessor, rotated_by, expires_at, revoked_at, last_used_at, hash, tag, \
     version, metadata, attributes FROM keywright.keys WHERE id = $1";

/// The columns of the store's table, with no index but the primary key.
const TABLE: &str = "CREATE TABLE reference (LIKE keywright.keys); \
     ALTER TABLE reference ADD PRIMARY KEY (id)";

const INSERT: &str = "INSERT INTO reference \
     (id, workspace, test, name, folded_name, permissions, enabled, hash, tag, version) \
     VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9)";

fn main() {
    run(over_postgres);
}

fn over_postgres(criterion: &mut Criterion) {
    let server = server::Server::start();
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let bench = Bench::new(&server, &runtime);
    compare_in_turn(
        criterion,
        "postgres-verification",
        &mut [
            ("keywright-64", &mut |group, id| bench.verify(group, id, 64)),
            ("sqlx-64", &mut |group, id| bench.select(group, id, 64)),
            ("keywright-1", &mut |group, id| bench.verify(group, id, 1)),
            ("sqlx-1", &mut |group, id| bench.select(group, id, 1)),
        ],
    );
    compare_in_turn(
        criterion,
        "postgres-create",
        &mut [
            ("keywright-64", &mut |group, id| bench.create(group, id, 64)),
            ("sqlx-64", &mut |group, id| bench.insert(group, id, 64)),
            ("keywright-1", &mut |group, id| bench.create(group, id, 1)),
            ("sqlx-1", &mut |group, id| bench.insert(group, id, 1)),
        ],
    );
}

struct Bench<'r> {
    runtime: &'r Runtime,
    pool: PgPool,
    /// A library without a cache, so that each verification is a first verification.
    keys: Keywright,
    tokens: Arc<[TokenBytes]>,
    ids: Arc<[String]>,
    /// The number of rows that the reference has inserted.
    inserted: Arc<AtomicU64>,
}

impl<'r> Bench<'r> {
    fn new(server: &server::Server, runtime: &'r Runtime) -> Self {
        let (pool, keys) = runtime.block_on(async {
            let pool = server.pool().await;
            let store = server.store(&pool, "keywright").await;
            sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
            (pool, open(store).await)
        });
        let count = if runs_once() { 200 } else { 10_000 };
        let (operator, new) = (issued::operator(), issued::new_key());
        let tokens = issued::issue(&keys, &operator, &new, count, runtime);
        Self {
            runtime,
            pool,
            keys,
            ids: tokens.iter().map(id_text).collect(),
            tokens,
            inserted: Arc::default(),
        }
    }

    fn verify(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, tasks: usize) {
        let work = |indices| issued::verify(&self.keys, &self.tokens, indices);
        tasks::bench(group, id, self.runtime, tasks, work);
    }

    fn select(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, tasks: usize) {
        let work = |indices| select(self.pool.clone(), Arc::clone(&self.ids), indices);
        tasks::bench(group, id, self.runtime, tasks, work);
    }

    fn create(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, tasks: usize) {
        let work = |indices| create(self.keys.clone(), indices);
        tasks::bench(group, id, self.runtime, tasks, work);
    }

    fn insert(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, tasks: usize) {
        let work = |indices| insert(self.pool.clone(), Arc::clone(&self.inserted), indices);
        tasks::bench(group, id, self.runtime, tasks, work);
    }
}

async fn open(store: PostgresStore) -> Keywright {
    let config = Config::new(issued::prefix())
        .with_scheme(Scheme::HmacSha256)
        .with_cache(0);
    Keywright::open(config, Arc::new(store)).await.unwrap()
}

fn id_text(token: &TokenBytes) -> String {
    let prefix = issued::prefix();
    let token = TokenRef::parse(token, &prefix).unwrap();
    String::from_utf8(token.id().as_bytes().to_vec()).unwrap()
}

/// The reference of a verification: reads one row by its primary key with a prepared statement.
async fn select(pool: PgPool, ids: Arc<[String]>, indices: Indices) {
    for index in indices {
        let id = ids.get(index % ids.len()).unwrap();
        let row = sqlx::query(SELECT).bind(id).fetch_one(&pool);
        read(&row.await.unwrap()).unwrap();
    }
}

fn read(row: &PgRow) -> sqlx::Result<()> {
    for text in [0, 1, 4, 5, 15] {
        let _: String = row.try_get(text)?;
    }
    for optional in [3, 7, 8, 9, 10, 11, 18, 19] {
        let _: Option<String> = row.try_get(optional)?;
    }
    for optional in 12..=14 {
        let _: Option<i64> = row.try_get(optional)?;
    }
    let (_, _): (bool, bool) = (row.try_get(2)?, row.try_get(6)?);
    let (_, _): (Vec<u8>, i64) = (row.try_get(16)?, row.try_get(17)?);
    Ok(())
}

async fn create(keys: Keywright, indices: Indices) {
    let (operator, new) = (issued::operator(), issued::new_key());
    for _ in indices {
        keys.issuer().create(&operator, new.clone()).await.unwrap();
    }
}

/// The reference of a create: inserts one row in its own transaction, with a prepared statement.
async fn insert(pool: PgPool, inserted: Arc<AtomicU64>, indices: Indices) {
    let hash = format!("$hmac-sha256${}${}", "A".repeat(22), "A".repeat(43));
    for _ in indices {
        let number = inserted.fetch_add(1, Ordering::Relaxed);
        let insert = sqlx::query(INSERT)
            .bind(format!("{number:016}"))
            .bind("default")
            .bind(false)
            .bind("a name of 20 letters")
            .bind("calls:read,calls:write,users:read")
            .bind(true)
            .bind(&hash)
            .bind([0_u8; 8].as_slice())
            .bind(1_i64);
        insert.execute(&pool).await.unwrap();
    }
}
