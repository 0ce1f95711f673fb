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
    events::{EventListing, EventPurge},
    list::Listing,
    prefix::{ClaimPrefix, FindPrefix, IsEmpty},
    purge::KeyPurge,
    reserve::Reserve,
    touch::Touch,
};
