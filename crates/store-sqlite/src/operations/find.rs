//! Finding one record.

use keywright_core::{
    KeyId, Workspace,
    store::{Alias, Record, StoreErrorKind},
};
use rusqlite::Connection;

use crate::{error::Result, record};

/// Returns the record with this id, including a revoked one.
pub(crate) fn find(connection: &Connection, id: &KeyId) -> Result<Option<Record>> {
    Ok(record::find(connection, id)?)
}

/// Returns the record with this alias, including a revoked one.
pub(crate) fn find_by_alias(connection: &Connection, alias: &Alias) -> Result<Option<Record>> {
    Ok(record::find_by_alias(connection, alias)?)
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
    Ok(record::is_empty(connection)?)
}
