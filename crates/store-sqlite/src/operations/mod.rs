//! What the store does, one module for each kind of operation. Each takes a connection: a reader's,
//! or the writer's inside a transaction.

mod insert;
mod list;
mod prefix;
mod purge;
mod reserve;
mod revoke;
mod rotate;
mod touch;
mod update;

use keywright_core::{KeyId, Record, StoreErrorKind, Workspace};
use rusqlite::Connection;

pub(crate) use self::{
    insert::insert,
    list::list,
    prefix::claim_prefix,
    purge::{delete_purgeable, purgeable},
    reserve::reserve,
    revoke::revoke,
    rotate::{Predecessor, rotate},
    touch::touch,
    update::{rehash, rename},
};
use crate::{error::Result, record};

/// The record of an id, if there is one.
pub(crate) fn find(connection: &Connection, id: &KeyId) -> Result<Option<Record>> {
    Ok(record::find(connection, id)?)
}

/// Whether there is no key at all.
pub(crate) fn is_empty(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM keys)")?
        .query_one((), |row| row.get(0))?)
}

/// Returns the record with this id in this workspace, or `NotFound`.
fn find_in_workspace(connection: &Connection, workspace: &Workspace, id: &KeyId) -> Result<Record> {
    record::find(connection, id)?
        .filter(|record| record.key.workspace == *workspace)
        .ok_or_else(|| StoreErrorKind::NotFound.into())
}
