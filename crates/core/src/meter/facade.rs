//! What the facade is told: each second, and whenever the host flushes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::count::{Count, MISSES, Outcome};
use crate::{
    Lease,
    hash::HashQueue,
    verifier::{Cache, Uses},
};

/// Whatever is opened in this process, since the facade is the process's too.
static INSTANCES: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());

fn instances() -> MutexGuard<'static, Vec<Arc<Watched>>> {
    INSTANCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is looked at in one of them.
struct Watched {
    cache: Arc<Cache>,
    uses: Arc<Uses>,
    lease: Arc<Lease>,
    hashes: HashQueue,
}

/// One of them, open until this is dropped.
pub(crate) struct Instance(Arc<Watched>);

impl Instance {
    pub(crate) fn open(
        cache: &Arc<Cache>,
        uses: &Arc<Uses>,
        lease: &Arc<Lease>,
        hashes: HashQueue,
    ) -> Self {
        let watched = Arc::new(Watched {
            cache: Arc::clone(cache),
            uses: Arc::clone(uses),
            lease: Arc::clone(lease),
            hashes,
        });
        instances().push(Arc::clone(&watched));
        describe();
        publish();
        Self(watched)
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

/// How all instances stand together.
#[derive(Default)]
struct Standing {
    instances: u32,
    cached_keys: usize,
    argon2_waiting: usize,
    last_uses_waiting: usize,
    leases: u32,
    /// The least of those leases that end by themselves.
    lease_remaining: Option<Duration>,
}

impl Standing {
    fn of(instances: &[Arc<Watched>]) -> Self {
        let mut standing = Self::default();
        for instance in instances {
            standing.instances += 1;
            standing.cached_keys += instance.cache.len();
            standing.argon2_waiting += instance.hashes.waiting();
            standing.last_uses_waiting += instance.uses.len();
            standing.leases += u32::from(instance.lease.vouches());
            let least = [standing.lease_remaining, instance.lease.remaining()];
            standing.lease_remaining = least.into_iter().flatten().min();
        }
        standing
    }
}

/// Tells the facade all counts as they are.
pub(crate) fn publish() {
    let mut hits = 0;
    for (outcome, name) in Outcome::ALL {
        let in_memory = Count::InMemory(outcome).sum();
        let otherwise = Count::Otherwise(outcome).sum();
        hits += in_memory;
        counter!("keywright_verifications_total", "outcome" => name)
            .absolute(in_memory + otherwise);
    }
    counter!("keywright_cache_hits_total").absolute(hits);
    for (miss, name) in MISSES {
        counter!("keywright_cache_misses_total", "reason" => name)
            .absolute(Count::Missed(miss).sum());
    }
    counter!("keywright_cache_evictions_total").absolute(Count::Evicted.sum());
    counter!("keywright_argon2_runs_total").absolute(Count::Argon2Ran.sum());
    counter!("keywright_rehashes_total").absolute(Count::Rehashed.sum());

    // Told under the lock, so that nobody tells an older standing after this.
    let instances = instances();
    let standing = Standing::of(&instances);
    gauge!("keywright_instances").set(standing.instances);
    gauge!("keywright_cached_keys").set(float(standing.cached_keys));
    gauge!("keywright_argon2_waiting").set(float(standing.argon2_waiting));
    gauge!("keywright_last_uses_waiting").set(float(standing.last_uses_waiting));
    gauge!("keywright_lease_holds").set(standing.leases);
    if let Some(remaining) = standing.lease_remaining {
        gauge!("keywright_lease_remaining_seconds").set(remaining.as_secs_f64());
    }
}

/// Beyond four billion the exact number says no more.
fn float(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

fn describe() {
    for (name, text) in [
        (
            "keywright_verifications_total",
            "Verifications, by what came of them",
        ),
        (
            "keywright_cache_hits_total",
            "Verifications decided in memory",
        ),
        (
            "keywright_cache_misses_total",
            "Verifications that asked the store, by why",
        ),
        (
            "keywright_cache_evictions_total",
            "Keys forgotten to make room for others",
        ),
        ("keywright_argon2_runs_total", "Runs of Argon2 begun"),
        (
            "keywright_rehashes_total",
            "Hashes replaced by ones of today's scheme and pepper",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text) in [
        ("keywright_instances", "Keywrights open in this process"),
        ("keywright_cached_keys", "Keys remembered"),
        (
            "keywright_argon2_waiting",
            "Runs of Argon2 that wait for a core",
        ),
        (
            "keywright_last_uses_waiting",
            "Keys whose last use is to be written",
        ),
        (
            "keywright_lease_holds",
            "Keywrights whose store vouches for what is remembered",
        ),
    ] {
        describe_gauge!(name, Unit::Count, text);
    }
    describe_gauge!(
        "keywright_lease_remaining_seconds",
        Unit::Seconds,
        "How long the store still vouches for what is remembered, unless it hears of a change"
    );
}
