//! Row 13 over PostgreSQL: a schema of a million keys, compared with one of ten thousand.
//!
//! `KEYWRIGHT_SCALE_KEYS` sets another number of keys for the large schema.

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
mod scale {
    pub(crate) mod filled;
    pub(crate) mod minted;
}

use std::{env, fmt::Write as _, sync::Arc};

use criterion::Criterion;
use keywright_benches::{
    POSTGRES_BYTES_PER_EVENT, POSTGRES_BYTES_PER_KEY, run, runs_once, store_number, tasks,
};
use keywright_core::{Config, Keywright, Scheme, store::KeyStore};
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgPoolCopyExt as _};
use tokio::runtime::{Builder, Runtime};

use self::scale::{
    filled::{self, Filled},
    minted::{self, NAME, PERMISSIONS},
};

/// The number of bytes of rows that are sent together.
const CHUNK: usize = 1 << 20;

fn main() {
    run(scale);
}

fn scale(criterion: &mut Criterion) {
    let [large, small] = if runs_once() {
        [20_000, 10_000]
    } else {
        [
            env::var("KEYWRIGHT_SCALE_KEYS").map_or(1_000_000, |keys| keys.parse().unwrap()),
            10_000,
        ]
    };
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let server = server::Server::start();
    let pool = runtime.block_on(server.pool());
    measure_sizes(&runtime, &server, &pool);
    let small = fill(&runtime, &server, &pool, "small", small);
    let filled = fill(&runtime, &server, &pool, "large", large);
    let bytes = runtime.block_on(size(&pool, "large.keys")) / large as f64;
    println!("{bytes:.0} bytes per key in a schema of {large} keys, with an Argon2id hash");
    filled::compare(
        criterion,
        &format!("scale-postgres-{large}"),
        &runtime,
        &filled,
        &small,
    );
}

/// Measures the size of a key and of its event, after 100,000 keys were created.
fn measure_sizes(runtime: &Runtime, server: &server::Server, pool: &PgPool) {
    let count = if runs_once() { 1_000 } else { 100_000 };
    let store = runtime.block_on(server.store(pool, "sizes"));
    let config = Config::new(issued::prefix()).with_scheme(Scheme::HmacSha256);
    let keys = runtime
        .block_on(Keywright::open(config, Arc::new(store)))
        .unwrap();
    runtime.block_on(tasks::share(64, count, |indices| {
        let keys = keys.clone();
        async move {
            let operator = issued::operator();
            for _ in indices {
                let created = keys.issuer().create(&operator, issued::new_key());
                created.await.unwrap();
            }
        }
    }));
    for (table, file) in [
        ("sizes.keys", POSTGRES_BYTES_PER_KEY),
        ("sizes.events", POSTGRES_BYTES_PER_EVENT),
    ] {
        let bytes = runtime.block_on(size(pool, table)) / count as f64;
        println!("{bytes:.0} bytes per row of {table}, of {count}");
        store_number(file, bytes);
    }
}

/// Returns the bytes of a table with its indexes.
async fn size(pool: &PgPool, table: &str) -> f64 {
    let sql = format!("SELECT pg_total_relation_size('{table}')::float8");
    let row = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_one(pool)
        .await
        .unwrap();
    row.get(0)
}

/// Fills a new schema with this many keys.
fn fill(
    runtime: &Runtime,
    server: &server::Server,
    pool: &PgPool,
    schema: &str,
    count: usize,
) -> Filled {
    let store: Arc<dyn KeyStore> = Arc::new(runtime.block_on(server.store(pool, schema)));
    let copy = format!(
        "COPY {schema}.keys (id, workspace, test, name, folded_name, permissions, enabled, \
         parent, hash, tag, version) FROM STDIN"
    );
    let mut copying = runtime.block_on(pool.copy_in_raw(&copy)).unwrap();
    let mut chunk = String::new();
    let contents = minted::mint(count, |row| {
        let text = |id: &keywright_core::KeyId| String::from_utf8(id.as_bytes().to_vec()).unwrap();
        let parent = row.parent.map_or("\\N".to_owned(), text);
        let tag = u128::from_be_bytes(*row.minted.credential.tag.as_bytes());
        let (id, workspace, hash) = (text(&row.minted.id), row.workspace, row.hash);
        writeln!(
            chunk,
            "{id}\t{workspace}\tf\t{NAME}\t{NAME}\t{PERMISSIONS}\tt\t{parent}\t{hash}\t\\\\x{tag:032x}\t1"
        )
        .unwrap();
        if chunk.len() > CHUNK {
            runtime.block_on(copying.send(chunk.as_bytes())).unwrap();
            chunk.clear();
        }
    });
    runtime.block_on(async {
        copying.send(chunk.as_bytes()).await.unwrap();
        copying.finish().await.unwrap();
        // Otherwise the server would do this during the measurement.
        let vacuum = format!("VACUUM (ANALYZE) {schema}.keys");
        sqlx::raw_sql(AssertSqlSafe(vacuum))
            .execute(pool)
            .await
            .unwrap();
        sqlx::raw_sql("CHECKPOINT").execute(pool).await.unwrap();
    });
    Filled::new(store, contents)
}
