//! Runs the conformance suite on a broken store, and checks which functions fail.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Once},
};

use keywright_core::{
    EventId, KeyId,
    conformance::{self, Harness},
    store::KeyStore,
};

use crate::fault::{BrokenStore, Fault, NoFault};

/// The stores of a harness, whatever its type.
trait Stores: Sync {
    fn open(&self) -> Arc<dyn KeyStore>;

    fn damage(&self, id: &KeyId) -> bool;

    fn damage_event(&self, id: &EventId) -> bool;
}

impl<H: Harness> Stores for H {
    fn open(&self) -> Arc<dyn KeyStore> {
        Harness::open(self)
    }

    fn damage(&self, id: &KeyId) -> bool {
        Harness::damage(self, id)
    }

    fn damage_event(&self, id: &EventId) -> bool {
        Harness::damage_event(self, id)
    }
}

/// A harness for the stores of any other, so that the suite is compiled once for all faults.
struct AnyHarness(Box<dyn Stores>);

impl Harness for AnyHarness {
    fn open(&self) -> Arc<dyn KeyStore> {
        self.0.open()
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.0.damage(id)
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.0.damage_event(id)
    }
}

macro_rules! clauses_failed_by {
    ($harness:expr, $attempts:expr => $($clause:ident)+) => {
        [$((
            stringify!($clause),
            (0..$attempts(stringify!($clause))).any(|_| {
                panic::catch_unwind(AssertUnwindSafe(|| {
                    conformance::$clause(&$harness());
                }))
                .is_err()
            }),
        )),+]
    };
}

/// Fails unless a store with this fault fails exactly these functions.
#[track_caller]
pub(crate) fn assert_fails_only<F: Fault>(expected: &[&str]) {
    assert_harness_fails_only::<BrokenStore<F>>(expected);
}

/// Fails unless the stores of this harness fail exactly these functions.
#[track_caller]
pub(crate) fn assert_harness_fails_only<H: Harness + Default + 'static>(expected: &[&str]) {
    let failed = failed_clauses(&|| AnyHarness(Box::<H>::default()), expected);
    assert_eq!(
        failed,
        expected,
        "{} fails the wrong functions of the suite",
        std::any::type_name::<H>()
    );
}

/// Returns the functions of the suite that the stores of a harness fail. Repeats the `expected`
/// ones until they fail.
fn failed_clauses(harness: &dyn Fn() -> AnyHarness, expected: &[&str]) -> Vec<&'static str> {
    silence_panics_of_the_suite();
    // A fault that needs a race may escape one run on a busy machine, so repeat the functions that
    // must fail.
    let attempts = |clause: &str| if expected.contains(&clause) { 20 } else { 1 };
    let clauses = clauses_failed_by! { harness, attempts =>
        atomic_insert atomic_rotate durable monotone_revocation idempotent_revoke cascade
        conditional_update touch_is_no_write tenancy listing reservation
        clock_cancellation_secrets changes errors format purge events aliases
    };
    clauses
        .into_iter()
        .filter(|(_, failed)| *failed)
        .map(|(clause, _)| clause)
        .collect()
}

/// Hides the panics of the suite, which are expected here, from the output.
fn silence_panics_of_the_suite() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let from_suite = info
                .location()
                .is_some_and(|at| at.file().contains("conformance"));
            if !from_suite {
                hook(info);
            }
        }));
    });
}

#[test]
fn a_store_without_a_fault_passes() {
    assert_fails_only::<NoFault>(&[]);
}
