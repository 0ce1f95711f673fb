//! Adding a record.

use keywright_core::{KeyId, Record, Status, StoreErrorKind, Timestamp, Workspace};
use rusqlite::{Connection, ffi};

use crate::{
    error::{Error, Result},
    record::{self, NewRow},
};

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM keys WHERE id = ?1)";

/// Adds a record under a new id, while its parent is active.
pub(crate) fn insert(connection: &Connection, row: &NewRow, now: Timestamp) -> Result<()> {
    if let Some(parent) = &row.parent
        && !is_active(connection, &row.workspace, parent, now)?
    {
        let taken = connection
            .prepare_cached(EXISTS)?
            .query_one([row.id.as_bytes()], |row| row.get(0))?;
        return Err(if taken {
            StoreErrorKind::AlreadyExists.into()
        } else {
            StoreErrorKind::Conflict.into()
        });
    }
    insert_new(connection, row)
}

/// Adds a record under a new id. That the id is new is left to the primary key, which has to look
/// anyway; what it refuses is undone by itself.
pub(super) fn insert_new(connection: &Connection, row: &NewRow) -> Result<()> {
    row.insert(connection)
        .map_err(|error| match error.sqlite_extended_error_code() {
            Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => StoreErrorKind::AlreadyExists.into(),
            _ => Error::Sqlite(error),
        })
}

/// A key that cannot be read back is not known to be active, whichever column is damaged.
pub(super) fn is_active(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    now: Timestamp,
) -> Result<bool> {
    let found = record::find(connection, id)?;
    Ok(found.is_some_and(|Record { key, .. }| {
        key.workspace == *workspace && key.status(now) == Status::Active
    }))
}
