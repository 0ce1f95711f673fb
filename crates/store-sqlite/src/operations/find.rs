//! Finding one record.

use keywright_core::{
    KeyId, Workspace,
    store::{Record, StoreErrorKind},
};
use rusqlite::Connection;

use crate::{error::Result, record};

const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM keys)";

/// Returns the record with this id, even if its key is revoked.
pub(crate) fn find(connection: &Connection, id: &KeyId) -> Result<Option<Record>> {
    Ok(record::find(connection, id)?)
}

/// Returns the record with this id in this workspace, or `NotFound`.
pub(super) fn find_in_workspace(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
) -> Result<Record> {
    record::find(connection, id)?
        .filter(|record| record.key.workspace == *workspace)
        .ok_or_else(|| StoreErrorKind::NotFound.into())
}

/// Whether there is no key in any workspace.
pub(crate) fn is_empty(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached(IS_EMPTY)?
        .query_one((), |row| row.get(0))?)
}
