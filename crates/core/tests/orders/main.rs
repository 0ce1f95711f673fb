//! Model check of the memory orders of the lease and of the cache. The test compiles the library's
//! own sources over loom, which tries everything that threads may see of each other's writes.
//!
//! The test `model` covers schedules.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "../../src/key.rs"]
pub mod key;
#[path = "../model/ready.rs"]
mod ready;
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

// The names that the library's sources import from their crate.
use keywright_core::{
    AllowedIps, Attributes, Denied, Environment, KeyId, Metadata, Name, Owner, Permissions,
    Timestamp, VerifyError, Workspace,
};
use loom::thread;

use crate::{
    key::{Key, Status},
    store::{Change, Lease, Store, id},
    sync::Missing,
    verifier::Verifier,
};
mod hash {
    pub(crate) use keywright_core::{
        error::HashError,
        store::{Credential, StoredHash},
    };

    pub(crate) type PresentedSecret<'a> = &'a ();
}
mod meter {
    #[derive(Clone, Copy)]
    pub(crate) enum CacheMiss {
        Absent,
        Stale,
        Lapsed,
    }

    pub(crate) const fn evicted() {}

    pub(crate) const fn rehashed() {}
}

/// The beginning of the message of a violation, which distinguishes it from loom's own failures.
const VIOLATED: &str = "a stale record was used";

/// Creates a store of one key, and a verifier with an empty cache.
fn open(lease: Lease, change: Change) -> (Arc<Lease>, Arc<Store>, Arc<Verifier>) {
    let lease = Arc::new(lease);
    // Loom creates an atomic at its first use. Use those of the lease before there are threads.
    let _ = lease.holds(&id(), lease.stamp(&id()));
    let store = Arc::new(Store::new(change));
    let verifier = Arc::new(Verifier::new(&lease, &store));
    (lease, store, verifier)
}

/// Tries all executions of a model.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} executions", count.load(Ordering::Relaxed));
}

/// Store buffering: one thread inserts the entry and then reads the stamp, and another moves the
/// stamp and then marks the entry.
fn a_fill_and_a_change(fills_before: usize, change: Change) {
    check(move || {
        let (lease, store, verifier) = open(Lease::unlimited(), change);
        for _ in 0..fills_before {
            assert!(verifier.verify_in_store());
            assert_eq!(
                verifier.verify_in_memory(),
                Some(true),
                "nothing was filled"
            );
        }
        let filling = {
            let verifier = Arc::clone(&verifier);
            thread::spawn(move || {
                verifier.verify_in_store();
            })
        };
        store.change();
        lease.changed(&id());
        // The change is acknowledged: from now on, no verification accepts the key as it was.
        let is_accepted = || verifier.verify_in_memory() == Some(true);
        assert!(!is_accepted(), "{VIOLATED} during the fill");
        filling.join().unwrap();
        assert!(!is_accepted(), "{VIOLATED} after the fill");
    });
}

/// Message passing: a thread that sees the lease extended sees the changes that were published
/// before.
fn a_read_and_an_extension(publish: fn(&Lease)) {
    check(move || {
        let (lease, _, verifier) = open(Lease::lapsed(), Change::Revocation);
        verifier.verify_in_store();
        let reading = thread::spawn(move || {
            let decided = verifier.verify_in_memory();
            assert!(decided.is_none(), "{VIOLATED} after a change was published");
        });
        publish(&lease);
        lease.extend(lease.now() + Duration::from_secs(1));
        reading.join().unwrap();
    });
}

fn publish_one(lease: &Lease) {
    lease.changed(&id());
}

fn publish_all(lease: &Lease) {
    lease.changed_all();
}

#[test]
fn a_fill_or_a_concurrent_change_sees_the_other() {
    for change in Change::ALL {
        a_fill_and_a_change(0, change);
        a_fill_and_a_change(1, change);
    }
}

#[test]
fn a_thread_that_sees_a_lease_extended_sees_the_changes_published_before() {
    a_read_and_an_extension(publish_one);
    a_read_and_an_extension(publish_all);
}

/// Asserts that a model fails without an ordering.
fn needs(missing: Missing, model: impl FnOnce()) {
    sync::remove(missing);
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
fn a_fill_and_a_change_need_their_fences() {
    for missing in [Missing::FenceOfFills, Missing::FenceOfChanges] {
        for change in Change::ALL {
            needs(missing, || a_fill_and_a_change(0, change));
            needs(missing, || a_fill_and_a_change(1, change));
        }
    }
}

#[test]
fn an_extension_needs_its_release() {
    needs(Missing::Release, || a_read_and_an_extension(publish_one));
    needs(Missing::Release, || a_read_and_an_extension(publish_all));
}

#[test]
fn a_read_needs_its_acquire() {
    needs(Missing::Acquire, || a_read_and_an_extension(publish_one));
    needs(Missing::Acquire, || a_read_and_an_extension(publish_all));
}
