//! Row 19: a cold start. A process verifies each of its Argon2id keys for the first time, with 64
//! tasks. Meanwhile, a client sends requests with a cached key. This measures whole starts and not
//! single operations, so it does not use criterion, but it stores its results in criterion's
//! folder.
//!
//! Each turn opens a store and a library with an empty cache over the same SQLite file. There are
//! 2,000 keys and five turns, so this measures 10,000 first verifications. The rate does not depend
//! on the number of keys, because the queue hands each thread the next run as soon as it is free.
//!
//! The same with verification by tag follows. Its hashes are checked after the last key was
//! accepted, so the client sends requests for five seconds more.
//!
//! The client shares the cores with the server, so its own delays count. Profiling on two cores of
//! Linux 6.18, with all other load in another scheduling group, showed why the threads for Argon2
//! have a lower priority ([`Config::with_hash_niceness`]):
//!
//! * With the same priority, the median of the client's requests stays near its usual 0.07 to
//!   0.12 ms, but the 99th percentile rises from 0.2 to between 1.6 and 4 ms. The scheduler lets a
//!   thread use up its time slice, which is that long, before a thread that wakes up can run.
//! * With a niceness of 3 it is 2 to 3 ms, with 5 usually 0.2 to 0.6 ms, and 1.4 ms in some runs.
//!   7, 10, 19 and `SCHED_IDLE` are no better than 5.
//! * None of them changes the rate of Argon2 on cores that are otherwise idle. If a busy thread of
//!   the host occupies each core, a niceness of 5 makes it 2.5 times slower than without, and 10
//!   makes it 7.6 times slower. So 5 is the default.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must stop"
)]

mod issued;
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod loopback;

use std::{
    hint::black_box,
    num::NonZero,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use axum::{
    Extension, Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_executor::block_on;
use keywright_benches::{COLD_START, TURNS, runs_once, store_number, tasks};
use keywright_core::{
    Clock, Config, Keywright, Pepper, PepperId, PepperRing, Secret, SystemClock, Verified,
};
use keywright_http_tower::{AuthLayer, KeyView};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

use self::{issued::TokenBytes, loopback::Loopback};

const TASKS: usize = 64;

/// The time between two requests of the client whose key is cached.
const PACE: Duration = Duration::from_millis(2);

fn main() {
    let (turns, count, pause) = if runs_once() {
        (1, TASKS, PACE)
    } else {
        (TURNS, 2000, Duration::from_secs(5))
    };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("keys.db");
    let tokens = issued::issue(
        &open(&file, config()),
        &issued::operator(),
        &issued::new_key(),
        count + 1,
        &issued::runtime(),
    );
    let (hot, cold) = tokens.split_first().unwrap();
    let cold: Arc<[TokenBytes]> = cold.into();
    let (mut by_hash, mut by_tag) = (Measurement::default(), Measurement::default());
    let mut alone = Duration::ZERO;
    for _ in 0..turns {
        let keys = open(&file, config());
        by_hash.add(start(&keys, hot, &cold, pause, Duration::ZERO));
        drop(keys);
        alone += argon2(count);
        let keys = open(&file, config().with_verification_by_tag(true));
        by_tag.add(start(&keys, hot, &cold, pause, pause));
    }
    let each = |total: Duration| total / u32::try_from(turns * count).unwrap();
    by_hash.keys = each(by_hash.keys);
    by_tag.keys = each(by_tag.keys);
    report("argon2", each(alone));
    by_hash.report("");
    by_tag.report("by-tag-");
}

/// The times of one or more cold starts.
#[derive(Default)]
struct Measurement {
    /// The time from the first verification of a key to the last.
    keys: Duration,
    /// The times of requests with a cached key before the cold start.
    before: Vec<Duration>,
    /// The times of such requests during it.
    during: Vec<Duration>,
}

impl Measurement {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.before.extend(other.before);
        self.during.extend(other.during);
    }

    fn report(mut self, prefix: &str) {
        report(&format!("{prefix}keys"), self.keys);
        for (name, times) in [("before", &mut self.before), ("during", &mut self.during)] {
            times.sort_unstable();
            for percent in [50, 99] {
                let time = times[times.len() * percent / 100];
                report(&format!("{prefix}{name}-{percent}"), time);
            }
        }
    }
}

/// Prints and stores a time.
fn report(name: &str, time: Duration) {
    println!("{name}: {:.3} ms", time.as_secs_f64() * 1e3);
    store_number(&format!("{COLD_START}{name}"), time.as_secs_f64() * 1e9);
}

/// Verifies all `cold` tokens for the first time. `hot` is the token of the client whose key is
/// cached. Only this client sends requests, for the time `before` and for the time `after`.
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn start(
    keys: &Keywright,
    hot: &TokenBytes,
    cold: &Arc<[TokenBytes]>,
    before: Duration,
    after: Duration,
) -> Measurement {
    block_on(keys.verifier().verify(hot)).unwrap();
    let hot = str::from_utf8(hot).unwrap();
    let request = format!(
        "GET /v1/whoami HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {hot}\r\n\r\n"
    );
    let mut client = Loopback::serve(router(keys));
    let server = client.server();
    let ((), times_before) = send_while(&mut client, &request, || thread::sleep(before));
    let (time, during) = send_while(&mut client, &request, || {
        let start = Instant::now();
        // This fails if a verification is undecided.
        server.block_on(tasks::share(TASKS, cold.len(), |indices| {
            issued::verify(keys, cold, indices)
        }));
        let time = start.elapsed();
        thread::sleep(after);
        time
    });
    Measurement {
        keys: time,
        before: times_before,
        during,
    }
}

/// Does `work`, and sends a request every two milliseconds meanwhile. Returns the times from each
/// request to its response.
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn send_while<T>(
    client: &mut Loopback,
    request: &str,
    work: impl FnOnce() -> T,
) -> (T, Vec<Duration>) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let (mut times, mut next) = (Vec::new(), Instant::now());
            loop {
                let sent = Instant::now();
                client.body(request);
                times.push(sent.elapsed());
                if done.load(Ordering::Relaxed) {
                    return times;
                }
                next += PACE;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, sending.join().unwrap())
    })
}

/// The reference: the argon2 crate on one thread per core, each with its own memory.
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn argon2(count: usize) -> Duration {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let start = Instant::now();
    thread::scope(|scope| {
        for core in 0..cores {
            scope.spawn(move || {
                let params = Params::new(19_456, 2, 1, Some(32)).unwrap();
                let mut memory = vec![Block::new(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let (secret, mut output) = ([b'0'; Secret::LENGTH], [0; 32]);
                for _ in (core..count).step_by(cores) {
                    let (salt, memory) = ([0; 16], &mut memory);
                    argon2
                        .hash_password_into_with_memory(&secret, &salt, &mut output, memory)
                        .unwrap();
                    black_box(output);
                }
            });
        }
    });
    start.elapsed()
}

fn config() -> Config {
    // Only a pepper makes a tag a proof.
    let pepper = Pepper::new(PepperId::parse("p1").unwrap(), &[7; 32]).unwrap();
    let peppers = PepperRing::default().with_newest(pepper).unwrap();
    Config::new(issued::prefix()).with_peppers(peppers)
}

fn open(file: &Path, config: Config) -> Keywright {
    let store = SqliteStore::open(file).unwrap();
    block_on(Keywright::open(config, Arc::new(store))).unwrap()
}

/// Returns a router with `GET /v1/whoami`.
fn router(keys: &Keywright) -> Router {
    let whoami = async |Extension(verified): Extension<Verified>| -> Response {
        let now = SystemClock::default().now();
        Json(KeyView::new(verified.key(), now)).into_response()
    };
    let auth = AuthLayer::new(keys.verifier().clone());
    Router::new().route("/v1/whoami", get(whoami).layer(auth))
}
