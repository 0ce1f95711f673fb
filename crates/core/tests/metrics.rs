//! Metrics as the recorder of the crate `metrics` receives them. They are global to the process, so
//! this is the only test of its program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "verification/busy_pool.rs"]
mod busy_pool;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Argon2Params, Caller, Config, Expiry, Issued, KeyUpdate, Keywright, MemoryStore, Name, NewKey,
    Pepper, PepperId, PepperRing, Permissions, Prefix, Reach, Scheme, Timestamp, Token, TokenRef,
    Workspace,
    store::{Credential, KeyStore},
    testing::ManualClock,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::busy_pool::BusyPool;

const ACCEPTED: (&str, u64) = ("verifications_total outcome=accepted", 1);
const MALFORMED: (&str, u64) = ("verifications_total outcome=malformed", 1);
const UNKNOWN: (&str, u64) = ("verifications_total outcome=unknown", 1);
const WRONG: (&str, u64) = ("verifications_total outcome=wrong_secret", 1);
const REVOKED: (&str, u64) = ("verifications_total outcome=revoked", 1);
const EXPIRED: (&str, u64) = ("verifications_total outcome=expired", 1);
const DISABLED: (&str, u64) = ("verifications_total outcome=disabled", 1);
const ADDRESS: (&str, u64) = ("verifications_total outcome=address_not_allowed", 1);
const UNDECIDED: (&str, u64) = ("verifications_total outcome=undecided", 1);
const HIT: (&str, u64) = ("cache_hits_total", 1);
const ABSENT: (&str, u64) = ("cache_misses_total reason=absent", 1);
const STALE: (&str, u64) = ("cache_misses_total reason=stale", 1);
const LAPSED: (&str, u64) = ("cache_misses_total reason=lapsed", 1);
const EVICTED: (&str, u64) = ("cache_evictions_total", 1);
const RUN: (&str, u64) = ("argon2_runs_total", 1);

/// A recorder that shows what was published to it.
#[derive(Clone, Default)]
struct TestRecorder(Arc<Mutex<Series>>);

#[derive(Default)]
struct Series {
    /// The number of times that the number of instances was published.
    publications: u32,
    counters: BTreeMap<String, Arc<AtomicU64>>,
    gauges: BTreeMap<String, Arc<AtomicU64>>,
    described: BTreeMap<String, String>,
}

fn name(key: &Key) -> String {
    let labels = key
        .labels()
        .map(|label| format!(" {}={}", label.key(), label.value()));
    labels.fold(key.name().to_owned(), |name, label| name + &label)
}

impl Recorder for TestRecorder {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        let described = &mut self.0.lock().unwrap().described;
        described.insert(key.as_str().into(), text.into_owned());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(key, unit, text);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there are no histograms");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counters = &mut self.0.lock().unwrap().counters;
        Counter::from_arc(Arc::clone(counters.entry(name(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let series = &mut self.0.lock().unwrap();
        series.publications += u32::from(key.name() == "keywright_instances");
        let gauges = &mut series.gauges;
        Gauge::from_arc(Arc::clone(gauges.entry(name(key)).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there are no histograms");
    }
}

impl TestRecorder {
    /// Returns the counters that are not 0, without the prefix of their names.
    fn counters(&self) -> BTreeMap<String, u64> {
        let counters = &self.0.lock().unwrap().counters;
        let counts = counters.iter().map(|(name, count)| {
            let name = name.strip_prefix("keywright_").unwrap();
            (name.to_owned(), count.load(Ordering::SeqCst))
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn gauge(&self, name: &str) -> f64 {
        let gauges = &self.0.lock().unwrap().gauges;
        f64::from_bits(gauges[&format!("keywright_{name}")].load(Ordering::SeqCst))
    }

    /// Asserts which counters have increased since `before`, and by how much.
    #[track_caller]
    fn assert_grew(&self, before: &BTreeMap<String, u64>, by: &[(&str, u64)]) {
        let mut growth = self.counters();
        for (name, count) in before {
            *growth.get_mut(name).unwrap() -= count;
        }
        growth.retain(|_, count| *count > 0);
        let by = by.iter().map(|(name, count)| ((*name).to_owned(), *count));
        assert_eq!(growth, by.collect());
    }
}

/// The lines of the log at the level `error`.
#[derive(Clone, Default)]
struct ErrorLog(Arc<Mutex<Vec<u8>>>);

impl ErrorLog {
    fn install() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::ERROR)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .init();
        log
    }

    fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.trim_start().to_owned()
    }
}

impl Write for ErrorLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn argon2() -> Scheme {
    Scheme::Argon2id(Argon2Params::new(64, 1, 1).unwrap())
}

fn config(scheme: Scheme, clock: &ManualClock) -> Config {
    let prefix = Prefix::parse("acme").unwrap();
    Config::new(prefix)
        .with_scheme(scheme)
        .with_clock(clock.clone())
}

fn pepper() -> PepperRing {
    let pepper = Pepper::new(PepperId::parse("p1").unwrap(), &[7; 32]).unwrap();
    PepperRing::default().with_newest(pepper).unwrap()
}

fn operator() -> Caller {
    Caller::new(Workspace::parse("default").unwrap(), Permissions::all())
}

fn create(keys: &Keywright, expiry: Option<Timestamp>) -> Issued {
    let mut new = NewKey::new(Name::parse("CI").unwrap());
    if let Some(time) = expiry {
        new.expiry = Expiry::At(time);
    }
    let issued = block_on(keys.issuer().create(&operator(), new)).unwrap();
    block_on(keys.flush()).unwrap();
    issued
}

/// Assembles a token with the id of one key and the secret of another.
fn mixed(id: &Issued, secret: &Issued) -> Token {
    let prefix = Prefix::parse("acme").unwrap();
    let secret = TokenRef::parse(secret.token.expose().as_bytes(), &prefix).unwrap();
    Token::assemble(&prefix, id.key.environment, &id.key.id, &secret.secret())
}

/// Waits until a condition that another thread brings about is true.
#[track_caller]
fn await_that(condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the condition did not become true within a minute");
}

/// Verifies a token and publishes the metrics.
fn verify(keys: &Keywright, token: &str) {
    let _ = block_on(keys.verifier().verify(token.as_bytes()));
    block_on(keys.flush()).unwrap();
}

#[test]
fn each_outcome_is_counted_once_and_where_it_was_decided() {
    let recorder = TestRecorder::default();
    let log = ErrorLog::install();
    let clock = ManualClock::new(time(0));
    let store = Arc::new(MemoryStore::new());
    let open = |config| block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();

    // Events from before the recorder was installed are also published.
    let keys = open(config(argon2(), &clock));
    let later = time(1000);
    let (first, second, third) = (
        create(&keys, None),
        create(&keys, Some(later)),
        create(&keys, None),
    );
    let revoked = third.key.id;
    metrics::set_global_recorder(recorder.clone()).unwrap();
    block_on(keys.flush()).unwrap();
    let runs = BTreeMap::from([("argon2_runs_total".to_owned(), 3)]);
    assert_eq!(recorder.counters(), runs);

    // Asserts which counters a verification increases.
    let adds = |keys: &Keywright, token: &str, by: &[(&str, u64)]| {
        let before = recorder.counters();
        verify(keys, token);
        recorder.assert_grew(&before, by);
    };
    adds(&keys, "acme_live_x", &[MALFORMED]);
    let (token, short) = (first.token.expose(), second.token.expose());
    adds(&keys, token, &[ABSENT, RUN, ACCEPTED]);
    adds(&keys, token, &[HIT, ACCEPTED]);
    let wrong = mixed(&first, &second);
    adds(&keys, wrong.expose(), &[HIT, WRONG]);
    adds(&keys, mixed(&second, &first).expose(), &[ABSENT, WRONG]);
    adds(&keys, short, &[ABSENT, RUN, ACCEPTED]);
    clock.set(later);
    adds(&keys, short, &[HIT, EXPIRED]);
    assert_eq!(recorder.gauge("cached_keys"), 2.0);

    // A second instance, whose cache holds one key. The gauges are sums over both.
    let small = open(config(argon2(), &clock).with_cache(1));
    adds(&small, token, &[ABSENT, RUN, ACCEPTED]);
    assert_eq!(recorder.gauge("cached_keys"), 3.0);
    let third = third.token.expose();
    adds(&small, third, &[ABSENT, RUN, ACCEPTED, EVICTED]);
    assert_eq!(recorder.gauge("cached_keys"), 3.0);
    assert_eq!(recorder.gauge("instances"), 2.0);
    drop(small);
    assert_eq!(recorder.gauge("cached_keys"), 2.0);

    // A stale entry, and a lapsed lease.
    adds(&keys, third, &[ABSENT, RUN, ACCEPTED]);
    block_on(keys.issuer().revoke(&operator(), &revoked, Reach::Key)).unwrap();
    adds(&keys, third, &[STALE, REVOKED]);
    adds(&keys, third, &[HIT, REVOKED]);
    let lease = store.lease();
    assert_eq!(recorder.gauge("lease_holds"), 1.0);
    lease.end();
    adds(&keys, third, &[LAPSED, REVOKED]);
    assert_eq!(recorder.gauge("lease_holds"), 0.0);
    assert_eq!(recorder.gauge("lease_remaining_seconds"), 0.0);
    let hour = Duration::from_secs(3600);
    lease.extend(lease.now() + hour);
    adds(&keys, third, &[HIT, REVOKED]);
    assert_eq!(recorder.gauge("lease_holds"), 1.0);
    assert!((0.0..=3600.0).contains(&recorder.gauge("lease_remaining_seconds")));
    assert_ne!(recorder.gauge("lease_remaining_seconds"), 0.0);

    // A paused key, and a key that is restricted to addresses.
    let paused = create(&keys, None);
    let update = |update| {
        block_on(keys.issuer().update(&operator(), &paused.key.id, &update)).unwrap();
    };
    let token = paused.token.expose();
    update(KeyUpdate::new().with_enabled(false));
    adds(&keys, token, &[ABSENT, DISABLED]);
    update(
        KeyUpdate::new()
            .with_enabled(true)
            .with_allowed_ips("::1".parse().unwrap()),
    );
    adds(&keys, token, &[ABSENT, RUN, ADDRESS]);
    adds(&keys, token, &[HIT, ADDRESS]);
    update(KeyUpdate::new().with_enabled(false).without_allowed_ips());
    adds(&keys, token, &[STALE, DISABLED]);
    adds(&keys, token, &[HIT, DISABLED]);
    let token = first.token.expose();

    // A second instance over the same store, with a pepper that the first instance does not have.
    let peppered = open(config(argon2(), &clock).with_peppers(pepper()));
    assert_eq!(recorder.gauge("instances"), 2.0);
    assert_eq!(recorder.gauge("lease_holds"), 2.0);
    let kept = create(&peppered, None);
    adds(&keys, kept.token.expose(), &[ABSENT, UNDECIDED]);
    let elsewhere = block_on(Keywright::open(
        config(Scheme::HmacSha256, &clock),
        Arc::new(MemoryStore::new()),
    ))
    .unwrap();
    let foreign = create(&elsewhere, None);
    drop(elsewhere);
    adds(&keys, foreign.token.expose(), &[ABSENT, UNKNOWN]);
    let before = recorder.counters();
    verify(&peppered, token);
    await_that(|| recorder.counters().contains_key("rehashes_total"));
    recorder.assert_grew(
        &before,
        &[
            ABSENT,
            ("argon2_runs_total", 2),
            ACCEPTED,
            ("rehashes_total", 1),
        ],
    );
    drop(peppered);
    assert_eq!(recorder.gauge("instances"), 1.0);

    // The hash of a key was replaced by a writer of the store, and its tag was not.
    let by_tag = open(
        config(argon2(), &clock)
            .with_peppers(pepper())
            .with_verification_by_tag(true),
    );
    let (tampered, other) = (create(&by_tag, None), create(&by_tag, None));
    let record = |issued: &Issued| block_on(store.find(&issued.key.id)).unwrap().unwrap();
    let (own, planted) = (record(&tampered), record(&other).credential.hash);
    let planted = Credential::new(planted, own.credential.tag);
    block_on(store.rehash(&tampered.key.id, own.version, &planted)).unwrap();
    let before = recorder.counters();
    verify(&by_tag, tampered.token.expose());
    let report = format!(
        "ERROR the tag of a key matches and its hash does not: the record was changed key={}\n",
        tampered.key.id
    );
    await_that(|| log.text() == report);
    block_on(by_tag.flush()).unwrap();
    recorder.assert_grew(&before, &[ABSENT, RUN, ACCEPTED, ("tags_refuted_total", 1)]);
    drop(by_tag);

    // Three runs wait while all threads of the pool are blocked.
    let waiting = |purpose| recorder.gauge(&format!("argon2_waiting purpose={purpose}"));
    assert_eq!((waiting("new_hash"), waiting("verification")), (0.0, 0.0));
    let busy = open(config(argon2(), &clock));
    let cold = create(&keys, None);
    let caller = operator();
    let pool = BusyPool::new(&busy, &caller);
    let runs = [(); 3].map(|()| {
        let new = NewKey::new(Name::parse("CI").unwrap());
        let mut run = Box::pin(busy.issuer().create(&caller, new));
        let mut context = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut context).is_pending());
        run
    });
    block_on(busy.flush()).unwrap();
    assert_eq!((waiting("new_hash"), waiting("verification")), (3.0, 0.0));
    let mut verification = Box::pin(busy.verifier().verify(cold.token.expose().as_bytes()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(verification.as_mut().poll(&mut context).is_pending());
    block_on(busy.flush()).unwrap();
    assert_eq!((waiting("new_hash"), waiting("verification")), (3.0, 1.0));
    assert_eq!(waiting("check"), 0.0);
    drop((pool, runs, verification));
    drop(busy);

    // The background thread also publishes. The last write of this use was less than a minute ago.
    assert_eq!(recorder.gauge("last_uses_waiting"), 0.0);
    let used = create(&keys, None);
    verify(&keys, used.token.expose());
    block_on(keys.verifier().verify(used.token.expose().as_bytes())).unwrap();
    await_that(|| recorder.gauge("last_uses_waiting") == 1.0);
    // It publishes at most once a second.
    let publications = || recorder.0.lock().unwrap().publications;
    let (begin, before) = (lease.now(), publications());
    thread::sleep(Duration::from_millis(100));
    let published = publications() - before;
    let elapsed = lease.now() - begin;
    assert!(
        u64::from(published) <= elapsed.as_secs() + 1,
        "{published} in {elapsed:?}"
    );

    let series = recorder.0.lock().unwrap();
    let names = series.counters.keys().chain(series.gauges.keys());
    for name in names {
        let name = name.split(' ').next().unwrap();
        assert!(series.described.contains_key(name), "{name}");
    }
    drop(series);
    drop(keys);
    assert_eq!(recorder.gauge("instances"), 0.0);
}
