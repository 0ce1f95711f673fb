//! Replacing a key by a successor.

use keywright_core::{KeyId, Retire, Status, StoreErrorKind, Timestamp, Workspace};
use rusqlite::{Connection, params};

use super::{
    find_unchanged_in,
    insert::{admits, insert_new},
};
use crate::{changes, error::Result, record::NewRow, writer::atomic};

const RETIRE: &str = "
    UPDATE keys
    SET successor = ?2, expires_at = ?3, revoked_at = ?4, version = version + 1
    WHERE id = ?1";

/// Which key is replaced, and what becomes of it.
pub(crate) struct Predecessor {
    pub(crate) id: KeyId,
    pub(crate) version: u64,
    pub(crate) retire: Retire,
    /// The key that has asked for it.
    pub(crate) caller: Option<KeyId>,
}

/// Inserts the successor and retires the predecessor, both or neither.
pub(crate) fn rotate(
    connection: &Connection,
    workspace: &Workspace,
    predecessor: &Predecessor,
    successor: &NewRow,
    now: Timestamp,
) -> Result<()> {
    let key = find_unchanged_in(connection, workspace, &predecessor.id, predecessor.version)?.key;
    if key.successor.is_some() || key.status(now) != Status::Active {
        return Err(StoreErrorKind::Conflict.into());
    }
    if let Some(caller) = &predecessor.caller
        && !admits(connection, caller, successor, now)?
    {
        return Err(StoreErrorKind::Conflict.into());
    }
    let (expires_at, revoked_at) = match predecessor.retire {
        Retire::Now => (key.expires_at, Some(now)),
        Retire::At(end) => (Some(key.expires_at.map_or(end, |own| own.min(end))), None),
    };
    atomic(connection, || {
        insert_new(connection, successor)?;
        connection.prepare_cached(RETIRE)?.execute(params![
            key.id.as_bytes(),
            successor.id.as_bytes(),
            expires_at.map(Timestamp::as_millis),
            revoked_at.map(Timestamp::as_millis),
        ])?;
        changes::note(connection, &key.id)
    })
}
