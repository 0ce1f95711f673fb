//! Row 20: the time until other processes reject a key after its revocation has returned. This
//! measures single events and not a rate, so it does not use criterion, but it stores its results
//! in criterion's folder.
//!
//! Three processes verify keys as fast as they can, so that all cores are busy.
//!
//! With PostgreSQL, the 99th percentile is 530 to 820 ms here, because its server is not scheduled
//! in time. Linux puts each session into its own scheduling group
//! (`kernel.sched_autogroup_enabled`), and each process of the server is a session. A group that
//! was idle waits for up to a second while three processes are busy: the server logs commits of up
//! to 1.1 s, polls time out, and after the bound each verification waits for a read. Without these
//! groups, the percentile is 106 ms: the time between two polls, 100 ms, and that of a poll. Even
//! with them, the last verification that was accepted began 474 ms after the revocation, within the
//! bound.

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
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use keywright_benches::{PROPAGATION, runs_once, store_number};
use keywright_core::{Config, KeyId, Keywright, Reach, Scheme, VerifyError, store::KeyStore};
use keywright_store_postgres::{PostgresConfig, PostgresStore};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The argument of a process that verifies keys. The name of the store and its place follow.
const OBSERVE: &str = "--observe";

const OBSERVERS: usize = 3;

/// How long to wait for a process before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, role, store, place] = &*arguments
        && role == OBSERVE
    {
        observe(store, place);
        return;
    }
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("keys.db");
    measure(&runtime, "sqlite", file.to_str().unwrap());
    measure(&runtime, "redis", redis_server::Server::start().url());
    let server = postgres_server::Server::start();
    let pool = runtime.block_on(server.pool());
    drop(runtime.block_on(server.store(&pool, "keywright")));
    measure(&runtime, "postgres", &server.url());
}

fn open(runtime: &Runtime, store: &str, place: &str) -> Keywright {
    runtime.block_on(async {
        let store: Arc<dyn KeyStore> = match store {
            "sqlite" => Arc::new(SqliteStore::open(place).unwrap()),
            "redis" => Arc::new(RedisStore::connect(RedisConfig::new(place)).await.unwrap()),
            "postgres" => {
                let store = PostgresStore::connect(place, PostgresConfig::new());
                Arc::new(store.await.unwrap())
            }
            other => panic!("unknown store {other}"),
        };
        let config = Config::new(issued::prefix()).with_scheme(Scheme::HmacSha256);
        Keywright::open(config, store).await.unwrap()
    })
}

/// Revokes keys one after another, and measures when the other processes reject them.
fn measure(runtime: &Runtime, store: &str, place: &str) {
    let count = if runs_once() { 2 } else { 200 };
    let keys = open(runtime, store, place);
    let (operator, new) = (issued::operator(), issued::new_key());
    let create = || {
        let issued = runtime
            .block_on(keys.issuer().create(&operator, new.clone()))
            .unwrap();
        (issued.key.id, issued.token.expose().to_owned())
    };
    let (ids, tokens): (Vec<KeyId>, Vec<String>) = (0..count).map(|_| create()).unzip();
    let (reports, reported) = mpsc::channel();
    let observers: Vec<Observer> = (0..OBSERVERS)
        .map(|_| Observer::start(store, place, &tokens, reports.clone()))
        .collect();
    let next = || reported.recv_timeout(PATIENCE).expect("a process reports");
    for _ in &observers {
        assert_eq!(next(), Report::Ready);
    }
    let (mut times, mut accepted_after) = (Vec::new(), Duration::ZERO);
    for (index, id) in ids.iter().enumerate() {
        // At another time of the store's interval for each key.
        thread::sleep(Duration::from_millis(index as u64 * 37 % 100));
        let revoked = keys.issuer().revoke(&operator, id, Reach::Key);
        runtime.block_on(revoked).unwrap();
        let returned = now();
        for _ in &observers {
            match next() {
                Report::Rejected {
                    token,
                    at,
                    accepted,
                } if token == index => {
                    times.push(at.saturating_sub(returned));
                    accepted_after = accepted_after.max(accepted.saturating_sub(returned));
                }
                report => panic!("{report:?}"),
            }
        }
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).unwrap().as_secs_f64() * 1e9;
    let median = times.get(times.len() / 2).unwrap().as_secs_f64() * 1e9;
    println!(
        "{store}: p99 {:.1} ms, median {:.1} ms; the last verification that was accepted began \
         after {:.1} ms",
        p99 / 1e6,
        median / 1e6,
        accepted_after.as_secs_f64() * 1e3
    );
    store_number(&format!("{PROPAGATION}{store}"), p99);
}

/// A report of an observer, which is one line.
#[derive(PartialEq, Eq, Debug)]
enum Report {
    /// The process has verified all keys.
    Ready,
    /// The process has rejected a token for the first time. Its last verification that was accepted
    /// began at `accepted`.
    Rejected {
        token: usize,
        at: Duration,
        accepted: Duration,
    },
}

impl Report {
    fn parse(line: &str) -> Option<Self> {
        if line == "ready" {
            return Some(Self::Ready);
        }
        let mut words = line.split(' ');
        let token = words.next()?.parse().ok()?;
        let mut time = || Some(Duration::from_nanos(words.next()?.parse().ok()?));
        Some(Self::Rejected {
            token,
            at: time()?,
            accepted: time()?,
        })
    }
}

/// A process that verifies keys. It is killed when this is dropped.
struct Observer(Child);

impl Observer {
    fn start(store: &str, place: &str, tokens: &[String], reports: mpsc::Sender<Report>) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([OBSERVE, store, place])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for token in tokens {
            writeln!(input, "{token}").unwrap();
        }
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if reports.send(Report::parse(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self(child)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Verifies the tokens of the standard input, which are revoked in this order, until each is
/// rejected.
fn observe(store: &str, place: &str) {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let keys = open(&runtime, store, place);
    let tokens: Vec<String> = io::stdin().lines().map(Result::unwrap).collect();
    let verifying = runtime.spawn(async move {
        for token in &tokens {
            keys.verifier().verify(token.as_bytes()).await.unwrap();
        }
        println!("ready");
        for (index, token) in tokens.iter().enumerate() {
            // This one is revoked next. Between two verifications of it, another key is verified.
            let mut valid = tokens.iter().skip(index).cycle();
            let (mut accepted, mut began) = (Duration::ZERO, now());
            while !is_denied(&keys, token).await {
                accepted = began;
                is_denied(&keys, valid.next().unwrap()).await;
                tokio::task::consume_budget().await;
                began = now();
            }
            println!("{index} {} {}", now().as_nanos(), accepted.as_nanos());
        }
    });
    runtime.block_on(verifying).unwrap();
}

async fn is_denied(keys: &Keywright, token: &str) -> bool {
    let verified = keys.verifier().verify(token.as_bytes()).await;
    matches!(verified, Err(VerifyError::Denied(_)))
}

/// Returns the time since the epoch. All processes have the same clock.
#[expect(clippy::disallowed_methods, reason = "measures across processes")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
