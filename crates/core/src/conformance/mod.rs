//! A conformance suite for stores: one function for each clause of the contract of [`KeyStore`].
//!
//! To test a store, enable this crate's `conformance` feature in the dev-dependencies, implement
//! [`Harness`] for the store, and call [`conformance_tests!`](crate::conformance_tests) in a file
//! under `tests/`. A store conforms to the contract if all of these tests pass. Run them again with
//! each release of this crate.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keywright_core::{
//!     EventId, KeyId, MemoryStore, conformance::Harness, conformance_tests, store::KeyStore,
//! };
//!
//! #[derive(Default)]
//! struct InMemory(Arc<MemoryStore>);
//!
//! impl Harness for InMemory {
//!     fn open(&self) -> Arc<dyn KeyStore> {
//!         Arc::clone(&self.0) as Arc<dyn KeyStore>
//!     }
//!
//!     fn damage(&self, _: &KeyId) -> bool {
//!         false
//!     }
//!
//!     fn damage_event(&self, _: &EventId) -> bool {
//!         false
//!     }
//! }
//!
//! conformance_tests!(InMemory::default());
//! #
//! # fn main() {
//! #     keywright_core::conformance::atomic_insert(&InMemory::default());
//! # }
//! ```
//!
//! Each function panics at the first violation that it detects. The message names the violation.
//! The functions that test concurrency use real threads and several handles, and repeat each race.
//! Even with a store that waits for a disk at each write, a function takes only a few seconds.
//!
//! A harness cannot test the state after a crash of the host (clause 3), the cost of a page
//! (clause 10), or migrations between versions of the format (clause 15). A store needs separate
//! tests for these.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod aliases;
mod cascade;
mod changes;
mod clock;
mod durable;
mod errors;
mod events;
mod fixture;
mod format;
mod handle;
mod harness;
mod insert;
mod listing;
mod purge;
mod reservation;
mod revocation;
mod rotate;
mod tenancy;
mod touch;
mod update;

pub use self::{
    aliases::aliases,
    cascade::cascade,
    changes::changes,
    clock::clock_cancellation_secrets,
    durable::durable,
    errors::errors,
    events::events,
    format::format,
    harness::Harness,
    insert::atomic_insert,
    listing::listing,
    purge::purge,
    reservation::reservation,
    revocation::{idempotent_revoke, monotone_revocation},
    rotate::atomic_rotate,
    tenancy::tenancy,
    touch::touch_is_no_write,
    update::conditional_update,
};
#[cfg(doc)]
use crate::store::KeyStore;

/// Declares a `#[test]` for each function of the [conformance suite](crate::conformance).
///
/// The argument is an expression that creates a [`Harness`](crate::conformance::Harness) with a
/// separate, empty store. Each test evaluates it once.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests! {
            $harness =>
            atomic_insert
            atomic_rotate
            durable
            monotone_revocation
            idempotent_revoke
            cascade
            conditional_update
            touch_is_no_write
            tenancy
            listing
            reservation
            clock_cancellation_secrets
            changes
            errors
            format
            purge
            events
            aliases
        }
    };
    ($harness:expr => $($clause:ident)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::conformance::$clause(&$harness);
            }
        )+
    };
}
