//! Adding a record.

use keywright_core::{Key, KeyId, Timestamp, store::StoreErrorKind};
use rusqlite::{Connection, ffi};

use crate::{
    error::{Error, Result, extended_code},
    event::NewEvent,
    record::{self, NewRow},
    savepoint::atomic,
};

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM keywright_keys WHERE id = ?1)";

/// Adds a record under a new id and a new alias, if its parent admits it, and its event.
pub(crate) fn insert(
    connection: &Connection,
    row: &NewRow,
    now: Timestamp,
    event: Option<&NewEvent>,
) -> Result<()> {
    if let Some(parent) = &row.key.parent
        && !admits(connection, parent, &row.key, now)?
    {
        let taken = connection
            .prepare_cached(EXISTS)?
            .query_one([row.key.id.as_bytes()], |row| row.get(0))?;
        return Err(if taken {
            StoreErrorKind::AlreadyExists.into()
        } else {
            StoreErrorKind::Conflict.into()
        });
    }
    match event {
        None => insert_new(connection, row),
        Some(event) => atomic(connection, || {
            insert_new(connection, row)?;
            event.append(connection)
        }),
    }
}

/// Adds a record under a new id.
///
/// The constraints of the table check that the id and the alias are new. A rejected insert changes
/// nothing.
pub(super) fn insert_new(connection: &Connection, row: &NewRow) -> Result<()> {
    row.insert(connection)
        .map_err(|error| match extended_code(&error) {
            Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE) => {
                StoreErrorKind::AlreadyExists.into()
            }
            _ => Error::Sqlite(error),
        })
}

/// Whether the key with this id exists and admits `child`. A record that cannot be read back admits
/// nothing, whichever of its columns is damaged.
pub(super) fn admits(
    connection: &Connection,
    id: &KeyId,
    child: &Key,
    now: Timestamp,
) -> Result<bool> {
    let found = record::find(connection, id)?;
    Ok(found.is_some_and(|record| record.key.admits(child, now)))
}
