//! Rows 3 and 5: verifying tokens of keys that are not cached, over SQLite.
//!
//! With 64 tasks, the thread that reads the file bounds the rate: it does for each key what the
//! reference does, and converts the columns to a record.
//!
//! With one task, the time is that of waking threads. Bound to one core (`taskset -c 0`), a
//! verification takes 30 µs and the reference 22 µs. On two cores of a virtual machine they take
//! 130 µs and 50 µs. `perf sched timehist` shows why: the reading thread stays on the other core,
//! which is idle between two verifications, and the caller runs 57 µs after it was woken. The
//! blocking threads of the reference are several and move, so most of its wake-ups are on the same
//! core and take 5 µs. A channel that does not spin changes nothing.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

mod issued;

use std::sync::{Arc, Mutex};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{
    compare_in_turn, run, runs_once,
    tasks::{self, Indices},
};
use keywright_core::{
    Config, Denied, Environment, KeyId, Keywright, Scheme, Token, TokenRef, VerifyError,
    store::KeyStore,
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, OpenFlags, Row};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::issued::TokenBytes;

const SELECT: &str = "
    SELECT id, workspace, environment, name, permissions, parent, successor, expires_at,
        revoked_at, last_used_at, hash, tag, version, metadata
    FROM keywright_keys WHERE id = ?1";

fn main() {
    run(cold);
}

fn cold(criterion: &mut Criterion) {
    let runtime = issued::runtime();
    // Argon2 at its default cost. If a rejection ran it, the time would be a thousand times longer.
    let argon2id = Cold::with(Scheme::default(), 64, &runtime);
    let (wrong, ids): (Arc<[Token]>, Arc<[KeyId]>) =
        (argon2id.wrong_tokens().into(), argon2id.ids().into());
    let count = if runs_once() { 200 } else { 10_000 };
    let hmac = Cold::with(Scheme::HmacSha256, count, &runtime);
    compare_in_turn(
        criterion,
        "cold",
        &mut [
            // Both with 64 tasks. For a single task, most of the time is the wake-up of a thread,
            // which varies by a factor of seven with the core that the system chooses.
            ("keywright-wrong-secret", &mut |group, id| {
                tasks::bench(group, id, &runtime, 64, |indices| {
                    reject(argon2id.keys.clone(), Arc::clone(&wrong), indices)
                });
            }),
            ("find", &mut |group, id| {
                tasks::bench(group, id, &runtime, 64, |indices| {
                    find(Arc::clone(&argon2id.store), Arc::clone(&ids), indices)
                });
            }),
            ("keywright-64", &mut |group, id| {
                tasks::bench(group, id, &runtime, 64, |indices| {
                    issued::verify(&hmac.keys, &hmac.tokens, indices)
                });
            }),
            ("keywright-1", &mut |group, id| hmac.bench(group, id)),
            ("select", &mut |group, id| hmac.bench_select(group, id)),
            ("select-blocking", &mut |group, id| {
                hmac.bench_select_blocking(group, id, &runtime);
            }),
        ],
    );
}

/// Keys in a file, and a library without a cache.
struct Cold {
    folder: TempDir,
    store: Arc<SqliteStore>,
    keys: Keywright,
    tokens: Arc<[TokenBytes]>,
}

impl Cold {
    fn with(scheme: Scheme, count: usize, runtime: &Runtime) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("keys.db")).unwrap());
        let config = Config::new(issued::prefix())
            .with_scheme(scheme)
            .with_cache(0);
        let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
        let tokens = issued::issue(
            &keys,
            &issued::operator(),
            &issued::new_key(),
            count,
            runtime,
        );
        Self {
            folder,
            store,
            keys,
            tokens,
        }
    }

    fn ids(&self) -> Vec<KeyId> {
        let prefix = issued::prefix();
        let id = |token| *TokenRef::parse(token, &prefix).unwrap().id();
        self.tokens.iter().map(|token| id(token)).collect()
    }

    /// Returns tokens with the id of one key and the secret of the next.
    fn wrong_tokens(&self) -> Vec<Token> {
        let prefix = issued::prefix();
        let next = self.tokens.iter().cycle().skip(1);
        self.ids()
            .iter()
            .zip(next)
            .map(|(id, next)| {
                let secret = TokenRef::parse(next, &prefix).unwrap().secret();
                Token::assemble(&prefix, Environment::Live, id, &secret)
            })
            .collect()
    }

    fn bench(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut tokens = self.tokens.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(id, |bencher| {
            bencher.iter(|| block_on(self.keys.verifier().verify(tokens.next().unwrap())).unwrap());
        });
    }

    fn open(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(self.folder.path().join("keys.db"), flags).unwrap()
    }

    /// The reference: one thread reads the same rows with SQLite directly.
    fn bench_select(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let database = self.open();
        let mut select = database.prepare(SELECT).unwrap();
        let ids = self.ids();
        let mut ids = ids.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let id = ids.next().unwrap().as_bytes();
                select.query_one([id], read).unwrap();
            });
        });
    }

    /// The reference: the same, for an asynchronous caller.
    fn bench_select_blocking(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        runtime: &Runtime,
    ) {
        let database = Arc::new(Mutex::new(self.open()));
        let ids = self.ids();
        let mut ids = ids.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let (database, id) = (Arc::clone(&database), *ids.next().unwrap());
                let select = runtime.spawn_blocking(move || {
                    let database = database.lock().unwrap();
                    let mut select = database.prepare_cached(SELECT).unwrap();
                    select.query_one([id.as_bytes()], read).unwrap();
                });
                block_on(select).unwrap();
            });
        });
    }
}

async fn reject(keys: Keywright, wrong: Arc<[Token]>, indices: Indices) {
    for index in indices {
        let token = wrong.get(index % wrong.len()).unwrap();
        let rejection = keys.verifier().verify(token.expose().as_bytes()).await;
        let denied = matches!(rejection, Err(VerifyError::Denied(Denied::WrongSecret(_))));
        assert!(denied, "the secret belongs to another key");
    }
}

async fn find(store: Arc<SqliteStore>, ids: Arc<[KeyId]>, indices: Indices) {
    for index in indices {
        let id = ids.get(index % ids.len()).unwrap();
        assert!(store.find(id).await.unwrap().is_some());
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<()> {
    let (_, _, _): (Vec<u8>, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (_, _): (String, String) = (row.get(3)?, row.get(4)?);
    for optional in 5..=6 {
        let _: Option<Vec<u8>> = row.get(optional)?;
    }
    for optional in 7..=9 {
        let _: Option<i64> = row.get(optional)?;
    }
    let (_, _, _): (String, Vec<u8>, i64) = (row.get(10)?, row.get(11)?, row.get(12)?);
    let _: Option<String> = row.get(13)?;
    Ok(())
}
