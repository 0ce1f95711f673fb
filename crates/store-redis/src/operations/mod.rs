//! The operations of the store, one module for each kind.

mod confirmation;
mod descendant_walk;
mod find;
mod index;
mod insert;
mod is_empty;
mod list;
mod orphan_entries;
mod ping;
mod purge;
mod purge_progress;
mod register;
mod reserve;
mod revoke;
mod rotate;
mod run_script;
mod scan;
mod settings;
mod stored;
mod touch;
mod update;

pub(crate) use self::{
    find::{find_at_once, find_until},
    insert::insert,
    is_empty::is_empty,
    list::{ListContext, list},
    orphan_entries::OrphanEntries,
    ping::ping,
    purge::purge,
    reserve::reserve,
    revoke::revoke,
    rotate::rotate,
    settings::{claim_prefix, format, prefix},
    touch::touch,
    update::{rehash, update},
};
