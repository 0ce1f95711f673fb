//! The operations of the store, one module for each kind.
//!
//! Each operation takes a connection: one for reading, or the writer's inside a transaction.

mod events;
mod find;
mod insert;
mod list;
mod prefix;
mod purge;
mod reserve;
mod revoke;
mod rotate;
mod slice;
mod touch;
pub(crate) mod transfer;
mod update;

pub(crate) use self::{
    events::{EventListing, purge_events},
    find::{find, find_by_alias, is_empty},
    insert::{insert, insert_for_host},
    list::Listing,
    prefix::{claim_prefix, prefix},
    purge::{PurgeSearch, delete_purgeable},
    reserve::reserve,
    revoke::revoke,
    rotate::{Predecessor, rotate},
    touch::touch,
    update::{rehash, update},
};
