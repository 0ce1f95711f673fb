//! The conformance suite: one function for each clause of the contract of [`KeyStore`].

mod cascade;
mod clock;
mod durable;
mod errors;
mod fixture;
mod format;
mod handle;
mod insert;
mod listing;
mod reservation;
mod revocation;
mod rotate;
mod tenancy;
mod touch;
mod update;

use std::sync::Arc;

pub use self::{
    cascade::cascade,
    clock::clock_cancellation_secrets,
    durable::durable,
    errors::errors,
    format::format,
    insert::atomic_insert,
    listing::listing,
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
        futures_executor::block_on(future)
    }
}

/// Makes a `#[test]` of each function of the suite. The expression makes a [`Harness`] with a
/// store of its own, and is evaluated once for each test.
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
            errors
            format
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
