//! The conformance suite: one function for each clause of the contract of [`KeyStore`].
//!
//! Whoever writes a store turns on the feature `conformance` of this crate among the
//! dev-dependencies, tells by a [`Harness`] how a store is opened, and calls
//! [`conformance_tests!`](crate::conformance_tests) in a file under `tests/`. A store is done when
//! all of these tests pass, and stays so when it runs them again with each release of this crate.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keywright_core::{KeyId, KeyStore, MemoryStore, conformance::Harness, conformance_tests};
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
//! }
//!
//! conformance_tests!(InMemory::default());
//! #
//! # fn main() {
//! #     keywright_core::conformance::atomic_insert(&InMemory::default());
//! # }
//! ```
//!
//! A function panics on the first violation that it meets, with a message that says which promise
//! was not kept. Those about concurrency use real threads and several handles, and repeat what
//! depends on luck; a store whose every write waits for a disk runs each of them in seconds.
//!
//! Not tried here, since no harness could: what a crash of the host leaves behind (clause 3), what
//! a page costs (clause 10), and how a format grows old (clause 15). A store has tests of its own for
//! these.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests: they are there to panic"
)]

mod cascade;
mod changes;
mod clock;
mod durable;
mod errors;
mod fixture;
mod format;
mod handle;
mod insert;
mod listing;
mod purge;
mod reservation;
mod revocation;
mod rotate;
mod tenancy;
mod touch;
mod update;

use std::sync::Arc;

pub use self::{
    cascade::cascade,
    changes::changes,
    clock::clock_cancellation_secrets,
    durable::durable,
    errors::errors,
    format::format,
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
use crate::{KeyId, KeyStore};

/// What the suite needs of a store that is tried: a fresh, empty store for each harness.
pub trait Harness: Sync {
    /// Opens one more handle on this harness's store. The first call makes the store; a call after
    /// all handles were dropped is a restart.
    fn open(&self) -> Arc<dyn KeyStore>;

    /// Overwrites the stored record of a key, behind the store's back, with something that cannot
    /// be read back. `false` where a store has nothing that could be damaged so.
    fn damage(&self, id: &KeyId) -> bool;

    /// Waits for a future. A store that needs an async runtime enters it here; the suite calls this
    /// from many threads at once.
    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        pollster::block_on(future)
    }
}

/// Makes a `#[test]` of each function of the [conformance suite](crate::conformance). The expression
/// makes a [`Harness`](crate::conformance::Harness) with an empty store of its own, and is evaluated
/// anew in each test.
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
