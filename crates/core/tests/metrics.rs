//! What the recorder of the crate `metrics` is told. The numbers are the process's, so this is one
//! test, and the only one of its program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Argon2Params, Caller, Clock, Config, Expiry, Issued, KeyStore, Keywright, MemoryStore, Name,
    NewKey, Pepper, PepperId, PepperRing, Permissions, Prefix, Reach, Scheme, Timestamp, Token,
    TokenRef, Workspace,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

const ACCEPTED: (&str, u64) = ("verifications_total outcome=accepted", 1);
const MALFORMED: (&str, u64) = ("verifications_total outcome=malformed", 1);
const UNKNOWN: (&str, u64) = ("verifications_total outcome=unknown", 1);
const WRONG: (&str, u64) = ("verifications_total outcome=wrong_secret", 1);
const REVOKED: (&str, u64) = ("verifications_total outcome=revoked", 1);
const EXPIRED: (&str, u64) = ("verifications_total outcome=expired", 1);
const UNDECIDED: (&str, u64) = ("verifications_total outcome=undecided", 1);
const HIT: (&str, u64) = ("cache_hits_total", 1);
const ABSENT: (&str, u64) = ("cache_misses_total reason=absent", 1);
const STALE: (&str, u64) = ("cache_misses_total reason=stale", 1);
const LAPSED: (&str, u64) = ("cache_misses_total reason=lapsed", 1);
const EVICTED: (&str, u64) = ("cache_evictions_total", 1);
const RUN: (&str, u64) = ("argon2_runs_total", 1);

/// A recorder that shows what it was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Series>>);

#[derive(Default)]
struct Series {
    /// How often it was told how many instances there are.
    tellings: u32,
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

impl Recorder for Told {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        let described = &mut self.0.lock().unwrap().described;
        described.insert(key.as_str().into(), text.into_owned());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(key, unit, text);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there is none");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counters = &mut self.0.lock().unwrap().counters;
        Counter::from_arc(Arc::clone(counters.entry(name(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let series = &mut self.0.lock().unwrap();
        series.tellings += u32::from(key.name() == "keywright_instances");
        let gauges = &mut series.gauges;
        Gauge::from_arc(Arc::clone(gauges.entry(name(key)).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there is none");
    }
}

impl Told {
    /// What is not 0, without what all names begin with.
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

    /// Asserts by how much which counters went up in between.
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

#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

fn argon2() -> Scheme {
    Scheme::Argon2id(Argon2Params::new(64, 1, 1).unwrap())
}

fn config(scheme: Scheme, clock: &Hands) -> Config {
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

/// A token of the first's id and the second's secret.
fn mixed(id: &Issued, secret: &Issued) -> Token {
    let prefix = Prefix::parse("acme").unwrap();
    let secret = TokenRef::parse(secret.token.expose().as_bytes(), &prefix).unwrap();
    Token::assemble(&prefix, id.key.environment, &id.key.id, &secret.secret())
}

/// Waits for a thread.
fn until(done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}

/// Verifies a token and has the recorder told.
fn verify(keys: &Keywright, token: &str) {
    let _ = block_on(keys.verifier().verify(token.as_bytes()));
    block_on(keys.flush()).unwrap();
}

#[test]
fn each_outcome_is_counted_once_and_where_it_was_decided() {
    let told = Told::default();
    let clock = Hands::default();
    let store = Arc::new(MemoryStore::new());
    let open = |config| block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();

    // A recorder that comes late is told all the same.
    let keys = open(config(argon2(), &clock));
    let later = Timestamp::from_millis(1000).unwrap();
    let (first, second, third) = (
        create(&keys, None),
        create(&keys, Some(later)),
        create(&keys, None),
    );
    let revoked = third.key.id;
    metrics::set_global_recorder(told.clone()).unwrap();
    block_on(keys.flush()).unwrap();
    let made = BTreeMap::from([("argon2_runs_total".to_owned(), 3)]);
    assert_eq!(told.counters(), made);

    // What a verification adds to the counters.
    let adds = |keys: &Keywright, token: &str, by: &[(&str, u64)]| {
        let before = told.counters();
        verify(keys, token);
        told.assert_grew(&before, by);
    };
    adds(&keys, "acme_live_x", &[MALFORMED]);
    let (token, short) = (first.token.expose(), second.token.expose());
    adds(&keys, token, &[ABSENT, RUN, ACCEPTED]);
    adds(&keys, token, &[HIT, ACCEPTED]);
    let wrong = mixed(&first, &second);
    adds(&keys, wrong.expose(), &[HIT, WRONG]);
    adds(&keys, mixed(&second, &first).expose(), &[ABSENT, WRONG]);
    adds(&keys, short, &[ABSENT, RUN, ACCEPTED]);
    clock.0.store(1000, Ordering::SeqCst);
    adds(&keys, short, &[HIT, EXPIRED]);
    assert_eq!(told.gauge("cached_keys"), 2.0);

    // One that has no place for two keys; both together are told.
    let small = open(config(argon2(), &clock).with_cache(1));
    adds(&small, token, &[ABSENT, RUN, ACCEPTED]);
    assert_eq!(told.gauge("cached_keys"), 3.0);
    let third = third.token.expose();
    adds(&small, third, &[ABSENT, RUN, ACCEPTED, EVICTED]);
    assert_eq!(told.gauge("cached_keys"), 3.0);
    assert_eq!(told.gauge("instances"), 2.0);
    drop(small);
    assert_eq!(told.gauge("cached_keys"), 2.0);

    // What has changed, and what the store does not vouch for.
    adds(&keys, third, &[ABSENT, RUN, ACCEPTED]);
    block_on(keys.issuer().revoke(&operator(), &revoked, Reach::Key)).unwrap();
    adds(&keys, third, &[STALE, REVOKED]);
    adds(&keys, third, &[HIT, REVOKED]);
    let lease = store.lease();
    assert_eq!(told.gauge("lease_holds"), 1.0);
    lease.end();
    adds(&keys, third, &[LAPSED, REVOKED]);
    assert_eq!(told.gauge("lease_holds"), 0.0);
    assert_eq!(told.gauge("lease_remaining_seconds"), 0.0);
    let hour = Duration::from_secs(3600);
    lease.extend(lease.now() + hour);
    adds(&keys, third, &[HIT, REVOKED]);
    assert_eq!(told.gauge("lease_holds"), 1.0);
    assert!((0.0..=3600.0).contains(&told.gauge("lease_remaining_seconds")));
    assert_ne!(told.gauge("lease_remaining_seconds"), 0.0);

    // A second one over the same store, with a pepper that the first has not.
    let peppered = open(config(argon2(), &clock).with_peppers(pepper()));
    assert_eq!(told.gauge("instances"), 2.0);
    assert_eq!(told.gauge("lease_holds"), 2.0);
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
    let before = told.counters();
    verify(&peppered, token);
    until(|| told.counters().contains_key("rehashes_total"));
    told.assert_grew(
        &before,
        &[
            ABSENT,
            ("argon2_runs_total", 2),
            ACCEPTED,
            ("rehashes_total", 1),
        ],
    );
    drop(peppered);
    assert_eq!(told.gauge("instances"), 1.0);

    // More runs than there are cores, each of which takes long.
    assert_eq!(told.gauge("argon2_waiting"), 0.0);
    let slow = Scheme::Argon2id(Argon2Params::new(64 * 1024, 4, 1).unwrap());
    let slow = open(config(slow, &clock));
    let cores = thread::available_parallelism().unwrap().get();
    let caller = operator();
    let runs: Vec<_> = (0..10 * cores)
        .map(|_| {
            let new = NewKey::new(Name::parse("CI").unwrap());
            let mut run = Box::pin(slow.issuer().create(&caller, new));
            let mut context = Context::from_waker(Waker::noop());
            assert!(run.as_mut().poll(&mut context).is_pending());
            run
        })
        .collect();
    block_on(slow.flush()).unwrap();
    let waiting = told.gauge("argon2_waiting");
    assert!((1.0..=10.0 * cores as f64).contains(&waiting), "{waiting}");
    drop(runs);
    drop(slow);

    // The thread tells too; a use waits that was written less than a minute ago.
    assert_eq!(told.gauge("last_uses_waiting"), 0.0);
    let used = create(&keys, None);
    verify(&keys, used.token.expose());
    block_on(keys.verifier().verify(used.token.expose().as_bytes())).unwrap();
    until(|| told.gauge("last_uses_waiting") == 1.0);
    // Once a second, and rests in between: else it would tell thousands of times meanwhile.
    let tellings = || told.0.lock().unwrap().tellings;
    let before = tellings();
    thread::sleep(Duration::from_millis(100));
    assert!(tellings() - before < 100);

    let series = told.0.lock().unwrap();
    let names = series.counters.keys().chain(series.gauges.keys());
    for name in names {
        let name = name.split(' ').next().unwrap();
        assert!(series.described.contains_key(name), "{name}");
    }
    drop(series);
    drop(keys);
    assert_eq!(told.gauge("instances"), 0.0);
}
