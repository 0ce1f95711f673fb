//! For authors of stores: the [`KeyStore`] trait, its contract, and the types of its operations.
//!
//! Implement [`KeyStore`] for a database, and run the suite of the feature `conformance`. The types
//! that a store and a host share, such as [`Key`](crate::Key) and [`ListKeys`](crate::ListKeys),
//! are at the root of the crate.

mod alias;
mod durability;
mod error;
mod fair_queue;
mod key_store;
mod lease;
pub(crate) mod memory;
mod purge;
pub(crate) mod record;
mod reservation;
pub(crate) mod revocation;
mod rotation;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;

pub(crate) use self::lease::Watch;
// The public interface is:
pub use self::{
    alias::Alias,
    durability::Durability,
    error::{StoreError, StoreErrorKind},
    fair_queue::{FairQueue, Tenant},
    key_store::KeyStore,
    lease::{Lease, Stamp},
    purge::{Purge, PurgeEvents},
    record::{Record, Retire, Settings},
    reservation::{Reservation, Reserved},
    rotation::Rotation,
    transfer::{Import, Reactivation, Stage, Transfer, TransferId},
};
pub use crate::{
    hash::{Credential, NativeHash, StoredHash, StoredHashError, Tag},
    name::fold_case,
    thread::JoinOnDrop,
};
