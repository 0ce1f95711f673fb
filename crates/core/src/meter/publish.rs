//! Publication of the metrics to the recorder, once a second and at each flush.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::{
    counters::{Counter, MISSES, OUTCOMES},
    event::InstanceState,
};

type ReadState = dyn Fn() -> InstanceState + Send + Sync;

/// The open instances of this process. They are global because the recorder is.
static INSTANCES: Mutex<Vec<Arc<ReadState>>> = Mutex::new(Vec::new());

fn instances() -> MutexGuard<'static, Vec<Arc<ReadState>>> {
    INSTANCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open instance, which contributes to the gauges until this is dropped.
pub(crate) struct Instance(Arc<ReadState>);

impl Instance {
    /// Registers an instance, whose state `read` returns.
    pub(crate) fn open(read: impl Fn() -> InstanceState + Send + Sync + 'static) -> Self {
        let read: Arc<ReadState> = Arc::new(read);
        instances().push(Arc::clone(&read));
        describe();
        publish();
        Self(read)
    }

    pub(crate) fn close(self) {
        drop(self);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        instances().retain(|other| !Arc::ptr_eq(other, &self.0));
        publish();
    }
}

/// The gauges, over all instances.
#[derive(Default)]
struct Gauges {
    instances: u32,
    cached_keys: usize,
    cached_bytes: usize,
    waiting_verifications: usize,
    waiting_new_hashes: usize,
    waiting_checks: usize,
    last_uses_waiting: usize,
    leases: u32,
    /// The shortest time until a lease lapses, among those that have an end.
    lease_remaining: Option<Duration>,
}

impl Gauges {
    fn read(instances: &[Arc<ReadState>]) -> Self {
        let mut gauges = Self::default();
        for read in instances {
            let state = read();
            gauges.instances += 1;
            gauges.cached_keys += state.cached_keys;
            gauges.cached_bytes += state.cached_bytes;
            gauges.waiting_verifications += state.waiting_verifications;
            gauges.waiting_new_hashes += state.waiting_new_hashes;
            gauges.waiting_checks += state.waiting_checks;
            gauges.last_uses_waiting += state.last_uses_waiting;
            gauges.leases += u32::from(state.lease_holds);
            let remaining = [gauges.lease_remaining, state.lease_remaining];
            gauges.lease_remaining = remaining.into_iter().flatten().min();
        }
        gauges
    }
}

/// Publishes all metrics to the recorder.
pub(crate) fn publish() {
    let mut hits = 0;
    for (outcome, label) in OUTCOMES {
        let in_memory = Counter::InMemory(outcome).sum();
        hits += in_memory;
        counter!("keywright_verifications_total", "outcome" => label)
            .absolute(in_memory + Counter::NotInMemory(outcome).sum());
    }
    counter!("keywright_cache_hits_total").absolute(hits);
    for (reason, label) in MISSES {
        counter!("keywright_cache_misses_total", "reason" => label)
            .absolute(Counter::Missed(reason).sum());
    }
    counter!("keywright_cache_evictions_total").absolute(Counter::Evicted.sum());
    counter!("keywright_argon2_runs_total").absolute(Counter::Argon2Started.sum());
    counter!("keywright_rehashes_total").absolute(Counter::Rehashed.sum());
    counter!("keywright_tags_refuted_total").absolute(Counter::TagRefuted.sum());

    // Hold the lock while publishing, so that no other thread publishes an older state after this
    // one.
    let instances = instances();
    let gauges = Gauges::read(&instances);
    gauge!("keywright_instances").set(gauges.instances);
    gauge!("keywright_cached_keys").set(to_f64(gauges.cached_keys));
    gauge!("keywright_cached_bytes").set(to_f64(gauges.cached_bytes));
    for (purpose, waiting) in [
        ("verification", gauges.waiting_verifications),
        ("new_hash", gauges.waiting_new_hashes),
        ("check", gauges.waiting_checks),
    ] {
        gauge!("keywright_argon2_waiting", "purpose" => purpose).set(to_f64(waiting));
    }
    gauge!("keywright_last_uses_waiting").set(to_f64(gauges.last_uses_waiting));
    gauge!("keywright_lease_holds").set(gauges.leases);
    if let Some(remaining) = gauges.lease_remaining {
        gauge!("keywright_lease_remaining_seconds").set(remaining.as_secs_f64());
    }
}

/// Converts a count exactly, up to 2³² - 1.
fn to_f64(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

fn describe() {
    for (name, text) in [
        (
            "keywright_verifications_total",
            "Completed verifications, by outcome",
        ),
        (
            "keywright_cache_hits_total",
            "Verifications decided from the cache",
        ),
        (
            "keywright_cache_misses_total",
            "Verifications that read the store, by reason",
        ),
        (
            "keywright_cache_evictions_total",
            "Keys evicted from the cache",
        ),
        ("keywright_argon2_runs_total", "Runs of Argon2 started"),
        (
            "keywright_rehashes_total",
            "Hashes replaced with the current scheme and pepper",
        ),
        (
            "keywright_tags_refuted_total",
            "Keys that their tag proved and their hash did not",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text) in [
        ("keywright_instances", "Keywrights open in this process"),
        ("keywright_cached_keys", "Keys in the cache"),
        (
            "keywright_argon2_waiting",
            "Runs of Argon2 that wait for a core, by purpose",
        ),
        (
            "keywright_last_uses_waiting",
            "Keys whose last use is not written yet",
        ),
        (
            "keywright_lease_holds",
            "Keywrights whose lease on the store holds",
        ),
    ] {
        describe_gauge!(name, Unit::Count, text);
    }
    describe_gauge!(
        "keywright_cached_bytes",
        Unit::Bytes,
        "Memory that the keys in the cache take, approximately"
    );
    describe_gauge!(
        "keywright_lease_remaining_seconds",
        Unit::Seconds,
        "Time until the shortest lease lapses, unless it is extended"
    );
}
