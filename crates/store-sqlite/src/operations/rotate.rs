//! Replacing a key with a successor.

use keywright_core::{
    KeyId, Timestamp, Workspace,
    store::{Retire, StoreErrorKind},
};
use rusqlite::{Connection, params};

use super::{
    find::find_in_workspace,
    insert::{admits, insert_new},
};
use crate::{
    changes,
    error::Result,
    event::NewEvent,
    record::{self, NewRow},
    savepoint::atomic,
};

const RETIRE: &str = "
    UPDATE keywright_keys
    SET successor = ?2, expires_at = ?3, revoked_at = ?4, version = ?5
    WHERE id = ?1";

/// The key that a rotation replaces, and how it is retired.
pub(crate) struct Predecessor {
    pub(crate) id: KeyId,
    pub(crate) version: u64,
    pub(crate) retire: Retire,
}

/// Inserts the successor, retires the predecessor and appends the event, all or nothing.
pub(crate) fn rotate(
    connection: &Connection,
    workspace: &Workspace,
    predecessor: &Predecessor,
    successor: &NewRow,
    now: Timestamp,
    event: Option<&NewEvent>,
) -> Result<()> {
    let Predecessor {
        id,
        version,
        retire,
    } = predecessor;
    let mut record = find_in_workspace(connection, workspace, id)?;
    record.retire(*version, *retire, successor.key.id, now)?;
    if let Some(caller) = &successor.key.rotated_by
        && !admits(connection, caller, &successor.key, now)?
    {
        return Err(StoreErrorKind::Conflict.into());
    }
    let key = &record.key;
    let version = record::version(&record)?;
    atomic(connection, || {
        insert_new(connection, successor)?;
        connection.prepare_cached(RETIRE)?.execute(params![
            id.as_bytes(),
            successor.key.id.as_bytes(),
            key.expires_at.map(Timestamp::as_millis),
            key.revoked_at.map(Timestamp::as_millis),
            version,
        ])?;
        if let Some(event) = event {
            event.append(connection)?;
        }
        changes::append(connection, id)
    })
}
