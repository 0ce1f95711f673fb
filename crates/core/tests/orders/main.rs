//! The memory orders of the lease and of the cache: the product's own sources over loom, which tries
//! out what threads may see of each other's writes. What can happen in which order is what the test
//! `model` is about.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "../../src/key.rs"]
pub mod key;
mod store;
mod sync;
mod time;
mod verifier;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

// What the product's sources find in their own crate.
use keywright_core::{Environment, KeyId, Metadata, Name, Permissions, Timestamp, Workspace};
use loom::thread;

use crate::{
    key::Key,
    store::{Lease, Record, id},
    sync::Missing,
    verifier::Cache,
};
mod meter {
    pub(crate) const fn evicted() {}
}

/// What a violation begins with, to be told from loom's own failures.
const VIOLATED: &str = "an old record was used";

/// A cache of one key, of which nothing is known yet.
fn open(lease: Lease) -> (Arc<Lease>, Arc<Cache>, Arc<Record>) {
    let lease = Arc::new(lease);
    // Loom's numbers are made when they are first used: here, before there are threads.
    let _ = lease.holds(&id(), lease.stamp(&id()));
    let cache = Cache::new(1, Arc::clone(&lease));
    (lease, cache, Arc::new(Record::new()))
}

/// Tries out all that may happen.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} executions", count.load(Ordering::Relaxed));
}

/// Store buffering: one thread puts the entry in and looks at the stamp, one moves the stamp and
/// looks for the entry.
fn a_fill_and_a_revocation(fills_before: usize) {
    check(move || {
        let (lease, cache, record) = open(Lease::unlimited());
        for _ in 0..fills_before {
            cache.take_in(record.find(), lease.stamp(&id()));
            assert!(cache.accepts(&id()), "nothing was filled");
        }
        let filling = {
            let (lease, cache, record) = (lease.clone(), cache.clone(), record.clone());
            thread::spawn(move || {
                let stamp = lease.stamp(&id());
                cache.take_in(record.find(), stamp);
            })
        };
        record.revoke();
        lease.changed(&id());
        // Acknowledged: no verification accepts from now on.
        assert!(!cache.accepts(&id()), "{VIOLATED}: while it was filled");
        filling.join().unwrap();
        assert!(!cache.accepts(&id()), "{VIOLATED}: after it was filled");
    });
}

/// Message passing: what was told before the lease was extended is known to whoever sees it extended.
fn a_look_and_an_extension(tell: fn(&Lease)) {
    check(move || {
        let (lease, cache, record) = open(Lease::lapsed());
        cache.take_in(record.find(), lease.stamp(&id()));
        let looking = {
            let cache = cache.clone();
            thread::spawn(move || {
                assert!(!cache.is_fresh(&id()), "{VIOLATED}: a change was told");
            })
        };
        tell(&lease);
        lease.extend(lease.now() + Duration::from_secs(1));
        looking.join().unwrap();
    });
}

fn tell_one(lease: &Lease) {
    lease.changed(&id());
}

fn tell_all(lease: &Lease) {
    lease.changed_all();
}

#[test]
fn of_a_fill_and_a_revocation_one_sees_the_other() {
    a_fill_and_a_revocation(0);
    a_fill_and_a_revocation(1);
}

#[test]
fn who_sees_a_lease_extended_sees_what_was_told() {
    a_look_and_an_extension(tell_one);
    a_look_and_an_extension(tell_all);
}

/// Asserts that a model fails without something.
fn needs(missing: Missing, model: impl FnOnce()) {
    sync::take_out(missing);
    let failure = catch_unwind(AssertUnwindSafe(model)).err();
    let message = failure
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<String>());
    assert!(
        message.is_some_and(|text| text.starts_with(VIOLATED)),
        "{missing:?}: {message:?}"
    );
}

#[test]
fn a_fill_and_a_revocation_need_their_fences() {
    for missing in [Missing::FenceOfFills, Missing::FenceOfChanges] {
        needs(missing, || a_fill_and_a_revocation(0));
        needs(missing, || a_fill_and_a_revocation(1));
    }
}

#[test]
fn an_extension_needs_its_release() {
    needs(Missing::Release, || a_look_and_an_extension(tell_one));
    needs(Missing::Release, || a_look_and_an_extension(tell_all));
}

#[test]
fn a_look_needs_its_acquire() {
    needs(Missing::Acquire, || a_look_and_an_extension(tell_one));
    needs(Missing::Acquire, || a_look_and_an_extension(tell_all));
}
