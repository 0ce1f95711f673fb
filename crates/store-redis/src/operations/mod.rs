//! The operations of the store, one module for each kind.

mod alias;
mod confirmation;
mod descendant_walk;
mod events;
mod find;
mod index;
mod insert;
mod is_empty;
mod list;
mod new_event;
mod orphan_entries;
mod ping;
mod purge;
mod purge_events;
mod purge_progress;
mod register;
mod reserve;
mod revocation_event;
mod revoke;
mod rotate;
mod run_script;
mod scan;
mod settings;
mod stored;
mod touch;
pub(crate) mod transfer;
mod update;

pub(crate) use self::{
    alias::find_by_alias,
    events::{EventListContext, events},
    find::{find_at_once, find_until},
    insert::insert,
    is_empty::is_empty,
    list::{ListContext, list},
    orphan_entries::OrphanEntries,
    ping::ping,
    purge::purge,
    purge_events::{EventPurgeContext, PurgePosition, purge_events},
    reserve::reserve,
    revoke::revoke,
    rotate::rotate,
    settings::{claim_prefix, format, prefix},
    touch::touch,
    update::{rehash, update},
};
