//! Which functions of the suite a broken store fails.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use keywright_core::conformance::{self, Harness};

use crate::fault::{Fault, Sound, Trial};

macro_rules! clauses_failed_by {
    ($harness:ty: $($clause:ident)+) => {
        [$((
            stringify!($clause),
            panic::catch_unwind(AssertUnwindSafe(|| {
                conformance::$clause(&<$harness>::default());
            }))
            .is_err(),
        )),+]
    };
}

/// Fails unless a store with this fault fails just these functions.
#[track_caller]
pub(crate) fn assert_caught<F: Fault>(by: &[&str]) {
    assert_fails::<Trial<F>>(by);
}

/// Fails unless the stores of this harness fail just these functions.
#[track_caller]
pub(crate) fn assert_fails<H: Harness + Default>(by: &[&str]) {
    silence_the_suite();
    let clauses = clauses_failed_by! { H:
        atomic_insert atomic_rotate durable monotone_revocation idempotent_revoke cascade
        conditional_update touch_is_no_write tenancy listing reservation
        clock_cancellation_secrets changes errors format purge
    };
    let failed: Vec<&str> = clauses
        .into_iter()
        .filter(|(_, failed)| *failed)
        .map(|(clause, _)| clause)
        .collect();
    assert_eq!(
        failed,
        by,
        "the functions that {} fails",
        std::any::type_name::<H>()
    );
}

/// Keeps what the suite has to say about a broken store out of the output.
fn silence_the_suite() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let of_suite = info
                .location()
                .is_some_and(|at| at.file().contains("conformance"));
            if !of_suite {
                hook(info);
            }
        }));
    });
}

#[test]
fn a_store_without_a_fault_passes() {
    assert_caught::<Sound>(&[]);
}
