//! Adding a record.

use keywright_core::{Key, KeyId, Timestamp, store::StoreErrorKind};
use rusqlite::{Connection, ffi};

use crate::{
    error::{Error, Result, extended_code},
    event::NewEvent,
    record::{self, NewRow},
    savepoint::{atomic, or_roll_back},
};

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM keywright_keys WHERE id = ?1)";

/// Adds a record under a new id and a new alias, if its parent admits it, and its event. The
/// transaction belongs to the writer.
pub(crate) fn insert(
    connection: &Connection,
    row: &NewRow,
    now: Timestamp,
    event: Option<&NewEvent>,
) -> Result<()> {
    check_parent(connection, row, now)?;
    or_roll_back(connection, || insert_with_event(connection, row, event))
}

/// Adds a record and its event, like [`insert`], in a transaction of the host, which is not rolled
/// back.
pub(crate) fn insert_for_host(
    connection: &Connection,
    row: &NewRow,
    now: Timestamp,
    event: Option<&NewEvent>,
) -> Result<()> {
    check_parent(connection, row, now)?;
    atomic(connection, || insert_with_event(connection, row, event))
}

/// Fails if the record has a parent that does not admit it.
fn check_parent(connection: &Connection, row: &NewRow, now: Timestamp) -> Result<()> {
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
    Ok(())
}

fn insert_with_event(
    connection: &Connection,
    row: &NewRow,
    event: Option<&NewEvent>,
) -> Result<()> {
    insert_new(connection, row)?;
    event.map_or(Ok(()), |event| event.append(connection))
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
