//! The operations that are not part of a batch.

mod events;
mod list;
mod prefix;
mod purge;
mod reserve;
mod scan;
mod touch;
pub(crate) mod transfer;

pub(crate) use self::{
    events::{EventListing, purge_events},
    list::Listing,
    prefix::{check_store, claim_prefix, is_empty, prefix},
    purge::KeyPurge,
    reserve::reserve,
    touch::{Uses, touch},
};
